package gateway

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"sallyport/config"
	"sallyport/internal/gwtest"
)

const (
	one  = "127.0.0.2"
	shop = "aaaa"
)

// shopOne is a static instance of an app, at an address of its own.
const shopOne = "[[instance]]\napp_id = \"aaaa\"\ninstance_id = \"aa01\"\naddress = \"" + one + "\"\n"

// site is a gateway in this process, without a tunnel, and its configuration in a
// directory.
type site struct {
	t     *testing.T
	dir   string
	roots *x509.CertPool // of the certificate for *.gw.test and *.other.test
	log   gwtest.Buffer
	g     *Gateway
}

// newSite writes the configuration of a gateway for gw.test; proxy are lines of [proxy], and
// more comes behind all. It is opened by open.
func newSite(t *testing.T, proxy string, more ...string) *site {
	t.Helper()
	ca := gwtest.NewCA(t)
	s := &site{t: t, dir: t.TempDir(), roots: ca.Pool()}
	gwtest.WritePEM(t, s.dir, "web", ca.Server(t, "*.gw.test", "*.other.test"))
	s.configure(proxy, more...)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the gateway logged:\n%s", s.log.String())
		}
	})
	return s
}

// configure writes the configuration.
func (s *site) configure(proxy string, more ...string) {
	s.t.Helper()
	text := "[[domain]]\nname = \"gw.test\"\ncert = \"web.pem\"\nkey = \"web.key\"\n[proxy]\nlisten = [\"127.0.0.1:0\"]\n" + proxy +
		"\n[wireguard]\nmode = \"none\"\n[store]\npath = \"store\"\n[admin]\nlisten = \"127.0.0.1:0\"\n"
	for _, m := range more {
		text += m
	}
	s.write("gateway.toml", text)
}

// write makes a file that was written some time ago: a gateway waits until one is whole.
func (s *site) write(name, text string) {
	s.t.Helper()
	past := time.Now().Add(-time.Minute)
	if err := os.WriteFile(s.path(name), []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
	if err := os.Chtimes(s.path(name), past, past); err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) path(name string) string { return filepath.Join(s.dir, name) }

func (s *site) config() *config.Config {
	s.t.Helper()
	cfg, err := config.Load(s.path("gateway.toml"))
	if err != nil {
		s.t.Fatal(err)
	}
	return cfg
}

// open opens the gateway; it serves after run.
func (s *site) open() (err error) {
	s.g, err = New(s.t.Context(), s.config(), slog.New(slog.NewTextHandler(&s.log, nil)))
	return err
}

// run serves until the test ends. The gateway is opened, if that has not been done.
func (s *site) run() {
	s.t.Helper()
	if s.g == nil {
		if err := s.open(); err != nil {
			s.t.Fatal(err)
		}
	}
	ctx, stop := context.WithCancel(s.t.Context())
	done := make(chan error, 1)
	go func() { done <- s.g.Run(ctx) }()
	s.t.Cleanup(func() {
		stop()
		s.g.Abort()
		if err := <-done; err != nil {
			s.t.Error(err)
		}
	})
}

// clients is where clients connect.
func (s *site) clients() string { return s.g.Addresses().Clients[0].String() }

// get returns what a client that trusts the certificate authority gets from a name below
// the domain.
func (s *site) get(name string) (string, error) {
	return s.body("https://"+name+".gw.test/", s.trust())
}

// trust is for clients that trust the certificate authority of the site.
func (s *site) trust() *tls.Config { return &tls.Config{RootCAs: s.roots} }

// body returns what a client gets from a URL; conf is how the connection is secured.
func (s *site) body(url string, conf *tls.Config) (string, error) {
	client := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true, TLSClientConfig: conf,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "tcp", s.clients())
		},
	}}
	resp, err := client.Get(url)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return string(b), err
}

// page returns what operators get from a path.
func (s *site) page(path string) (code int, text string) {
	s.t.Helper()
	resp, err := http.Get(fmt.Sprintf("http://%s%s", s.g.Addresses().Operators, path))
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}
