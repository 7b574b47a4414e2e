package pccs

import (
	"bytes"
	"log/slog"
	"net/http"
	"sync"
	"testing"
	"time"

	"sallyport/internal/gwtest/tdxpki"
	"sallyport/ratls/qvl"
	"sallyport/ratls/tdx"
)

// world is Intel, a machine, and a server at every address.
type world struct {
	pki      *tdxpki.PKI
	server   *tdxpki.PCCS
	platform Platform
	log      *syncBuffer

	mu      sync.Mutex
	changes []Platform
}

func newWorld(d tdxpki.Dialect) *world {
	pki := tdxpki.New(1, time.Now())
	return &world{
		pki:      pki,
		server:   pki.PCCS(d),
		platform: Platform{pki.PCK.FMSPC, tdx.Platform},
		log:      new(syncBuffer),
	}
}

// client is a Client of w's server, until the test ends.
func (w *world) client(t testing.TB, change func(*Options)) *Client {
	t.Helper()
	o := Options{
		URLs: []string{"https://pccs.example"},
		HTTP: w.server.Client(),
		Root: w.pki.Root.Cert(),
		Log:  slog.New(slog.NewTextHandler(w.log, nil)),
		OnChange: func(p Platform) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.changes = append(w.changes, p)
		},
	}
	if change != nil {
		change(&o)
	}
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// documents are what w's server has.
func (w *world) documents() *qvl.Collateral {
	d := qvl.Collateral(w.pki.Collateral().Sign())
	return &d
}

// publish serves what Intel issues now.
func (w *world) publish() {
	w.pki.Now = time.Now().UTC().Truncate(time.Second)
	w.server.Publish(w.pki.PCK.FMSPC, tdxpki.PlatformCA, w.pki.Collateral().Sign())
}

// down stops the server.
func (w *world) down() { w.server.Instead(tdxpki.TCBInfoDocument, tdxpki.Status(500)) }

// asked is how often somebody began to ask the server.
func (w *world) asked() int { return w.server.Requests(tdxpki.TCBInfoDocument) }

func (w *world) told() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.changes)
}

// get is Collateral, which must succeed.
func get(t testing.TB, c *Client, p Platform) *qvl.Collateral {
	t.Helper()
	docs, err := c.Collateral(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	return docs
}

// hosts has a server for each host.
type hosts map[string]*tdxpki.PCCS

func (h hosts) RoundTrip(r *http.Request) (*http.Response, error) {
	return h[r.URL.Host].Client().Transport.RoundTrip(r)
}

// roundTrip is a function as http.RoundTripper.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// after waits, in a bubble's time.
func after(d time.Duration) { <-time.After(d) }

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}
