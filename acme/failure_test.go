package acme

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sallyport/internal/gwtest/pebble"
)

func TestFailedOrderKeepsTheCertificate(t *testing.T) {
	t.Parallel()
	w := newWorld(t, pebble.Options{}, Domain{Name: "n.test"})
	_, stop := run(t, w.opts)
	first := w.told.next(t)
	stop()
	w.zone.setDeaf(true)
	w.SuggestRenewal(t, first.Leaf, time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour))

	m, stop := run(t, w.opts)
	if c := w.told.next(t); !c.Leaf.Equal(first.Leaf) {
		t.Error("the old certificate is not served")
	}
	await(t, "a failure", func() bool { s := m.Status(); return len(s) == 1 && s[0].Failures == 1 })
	s := m.Status()[0]
	if s.Serial == "" || !strings.Contains(s.LastError, "validation of *.n.test by dns-01") || time.Until(s.NextTry) < 50*time.Second {
		t.Errorf("status is %+v", s)
	}
	stop()
	orders := w.Count("Added order")
	m, _ = run(t, w.opts) // a restart does not ask again before its time
	await(t, "the stored failure", func() bool { s := m.Status(); return len(s) == 1 && s[0].Failures == 1 && s[0].Serial != "" })
	if n := w.Count("Added order"); n != orders {
		t.Errorf("%d orders were made by a restart", n-orders)
	}
	if w.zone.left() != 0 {
		t.Error("challenge records are left")
	}
}

// damage overwrites what the store has under prefix.
func damage(t *testing.T, s *fileStore, prefix string) {
	t.Helper()
	pairs, err := s.List(t.Context(), prefix)
	if err != nil || len(pairs) == 0 {
		t.Fatalf("nothing is stored under %s: %v", prefix, err)
	}
	for key, value := range pairs {
		if err := os.WriteFile(s.file(key), value[:len(value)/2], 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestDamagedCertificateIsReplaced(t *testing.T) {
	t.Parallel()
	w := newWorld(t, pebble.Options{}, Domain{Name: "o.test"})
	_, stop := run(t, w.opts)
	first := w.told.next(t)
	damage(t, w.opts.Store.(*fileStore), "certificates/")
	await(t, "a word about it", func() bool { return strings.Contains(w.log.String(), "stored certificate cannot be used") })
	if n := w.Count("Added order"); n != 1 {
		t.Errorf("%d orders: the certificate in memory was good", n)
	}
	stop()
	run(t, w.opts)
	if c := w.told.next(t); c.Leaf.Equal(first.Leaf) {
		t.Error("the certificate is not new")
	}
}

func TestDamagedAccountIsNotReplaced(t *testing.T) {
	t.Parallel()
	w := newWorld(t, pebble.Options{}, Domain{Name: "p.test"})
	_, stop := run(t, w.opts)
	w.told.next(t)
	stop()
	damage(t, w.opts.Store.(*fileStore), "accounts/")
	w.opts.Domains = []Domain{{Name: "q.test"}}
	m, _ := run(t, w.opts)
	await(t, "a failure", func() bool { s := m.Status(); return len(s) == 1 && s[0].Failures == 1 })
	if e := m.Status()[0].LastError; !strings.Contains(e, "is damaged") || !strings.Contains(e, "CAA records") {
		t.Errorf("the error is %q", e)
	}
	if n := w.Count("accounts in memory"); n != 1 {
		t.Errorf("%d accounts were made", n)
	}
}

func TestForgottenAccountIsMadeAnew(t *testing.T) {
	t.Parallel()
	w := newWorld(t, pebble.Options{}, Domain{Name: "r.test"})
	_, stop := run(t, w.opts)
	w.told.next(t)
	stop()
	w.Stop()
	again := pebble.Start(t, pebble.Options{DNS: w.zone.addr, Listen: w.Listen})
	w.opts.CA.Roots, w.opts.Domains = again.Roots, []Domain{{Name: "s.test"}}
	run(t, w.opts)
	w.told.next(t)
}

// down is an authority that refuses every connection.
type down struct{ asked []time.Time }

func (d *down) RoundTrip(r *http.Request) (*http.Response, error) {
	if n := len(d.asked); n == 0 || time.Since(d.asked[n-1]) > 10*time.Second { // a request is made thrice
		d.asked = append(d.asked, time.Now())
	}
	return nil, errors.New("connection refused")
}

// noReplacing is an authority that fails when an order is to replace a certificate.
type noReplacing struct{ next http.RoundTripper }

func (n noReplacing) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		var jws struct{ Payload string }
		_ = json.Unmarshal(body, &jws) // not every request is one
		if payload, _ := base64.RawURLEncoding.DecodeString(jws.Payload); bytes.Contains(payload, []byte(`"replaces"`)) {
			return &http.Response{
				StatusCode: http.StatusInternalServerError, Request: r,
				Header: http.Header{"Content-Type": {"application/problem+json"}},
				Body:   io.NopCloser(strings.NewReader(`{"type":"urn:ietf:params:acme:error:serverInternal","detail":"no such certificate","status":500}`)),
			}, nil
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
	}
	return n.next.RoundTrip(r)
}

func TestAuthorityThatCannotReplaceStillRenews(t *testing.T) {
	t.Parallel()
	w := newWorld(t, pebble.Options{}, Domain{Name: "v.test"})
	m, err := New(w.opts)
	if err != nil {
		t.Fatal(err)
	}
	m.cache = newCache(m.zap)
	defer m.cache.Stop()
	c := m.authorities[0].client.HTTPClient
	c.Transport = noReplacing{c.Transport}
	work := &worker{m: m, domain: "v.test", name: "*.v.test"}
	for range 2 {
		work.try(t.Context())
	}
	if first, second := w.told.next(t), w.told.next(t); first.Leaf.Equal(second.Leaf) || work.state.Failures != 0 {
		t.Errorf("not renewed: %s", work.state.LastError)
	}
}

func TestTriesFollowTheSchedule(t *testing.T) {
	store, asked := newFileStore(t), &down{}
	log := &logged{}
	live := func(t *testing.T, d time.Duration) {
		m, err := New(Options{
			CA: Authority{Directory: "https://down.test/dir"}, DNS01: newSilent(), Store: store,
			Domains: []Domain{{Name: "t.test"}}, OnCertificate: newTold().on, Log: log.logger(),
		})
		if err != nil {
			t.Fatal(err)
		}
		m.authorities[0].client.HTTPClient = &http.Client{Transport: asked}
		ctx, cancel := contextFor(t, d)
		defer cancel()
		if err := m.Run(ctx); err != nil {
			t.Fatal(err)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		for range 50 {
			live(t, 30*time.Second) // a crash loop
		}
		live(t, 24*time.Hour)
		var pauses []time.Duration
		for i, at := range asked.asked[1:] {
			pauses = append(pauses, at.Sub(asked.asked[i]))
		}
		if len(asked.asked) < 8 || len(asked.asked) > 13 || !slices.IsSorted(pauses[:7]) {
			t.Errorf("%d tries in a day, with pauses of %v", len(asked.asked), pauses)
		}
	})
	if n := strings.Count(log.String(), "no certificate: it could not be obtained"); n != len(asked.asked) {
		t.Errorf("%d warnings of %d tries", n, len(asked.asked))
	}
}

func TestWarningComesWhenLifeRunsOut(t *testing.T) {
	leaf, key := selfMade(t, "*.u.test", time.Now().Add(-50*24*time.Hour), time.Now().Add(40*24*time.Hour))
	for _, test := range []struct {
		part float64
		warn bool
	}{{0.3, false}, {0.6, true}} {
		log := &logged{}
		w := &worker{
			m:      &Manager{opts: Options{WarnBefore: test.part, Log: log.logger()}, metrics: newMetrics()},
			name:   "*.u.test",
			served: &certificate{cert: tlsCertificate(leaf, key)},
		}
		w.fail(errors.New("the authority is on holiday"))
		if strings.Contains(log.String(), "level=WARN") != test.warn {
			t.Errorf("with 4/9 of the life left and a warning at %v: %s", test.part, log)
		}
	}
}

func TestLibrariesLinesAreForDebugging(t *testing.T) {
	var all, some strings.Builder
	for to, level := range map[io.Writer]slog.Level{&all: slog.LevelDebug, &some: slog.LevelInfo} {
		h := slog.NewTextHandler(to, &slog.HandlerOptions{Level: level})
		slog.New(quiet{h}).Error("from acmez", "a", 1)
		zapLogger(h).Error("from certmagic", zapString("name", "x"))
	}
	if some.String() != "" || strings.Count(all.String(), "level=DEBUG") != 2 || !strings.Contains(all.String(), "name=x") {
		t.Errorf("at info: %q, at debug: %q", some.String(), all.String())
	}
}
