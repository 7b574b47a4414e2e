package main

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"sallyport/gateway/issue"
	"sallyport/internal/hello"
	"sallyport/registry/store"
)

// newApexSite is a gateway for a domain alone, at an address of its own with the port
// where the authority validates.
func (w *acmeWorld) newApexSite(t *testing.T, domain, ip, section string) *acmeSite {
	t.Helper()
	w.dns.Handle(domain, func(q *dns.Msg) *dns.Msg {
		a := new(dns.Msg).SetReply(q)
		if q.Question[0].Qtype == dns.TypeA {
			a.Answer = append(a.Answer, &dns.A{Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET}, A: net.ParseIP(ip)})
		}
		return a
	})
	s := w.newSite(t, domain, "")
	s.clients = fmt.Sprintf("%s:%d", ip, w.tlsPort)
	s.configure(fmt.Sprintf("[[domain]]\nname = %q\nacme = true\nwildcard = false\n", domain), section)
	return s
}

func testApexAlone(t *testing.T, w *acmeWorld) {
	s := w.newApexSite(t, "apex.test", "127.0.0.21", "")
	s.gateway()
	s.certified("apex.test", "")
	s.clientsGet("https://apex.test/")
	for name, want := range map[string]string{
		"health.apex.test": "unrecognized name",       // no certificate for names below
		"apex.test":        "no application protocol", // no validation is under way any more
	} {
		if _, err := s.shown(name, hello.ACMETLS1); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want the alert %s", name, err, want)
		}
	}
}

// clientsGet gets a page, as a browser.
func (s *acmeSite) clientsGet(url string) {
	s.t.Helper()
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: s.roots}, DisableKeepAlives: true,
		Dial: func(network, _ string) (net.Conn, error) { return net.Dial(network, s.clients) }, //nolint:staticcheck // a test's
	}
	resp, err := (&http.Client{Transport: transport}).Get(url)
	if err != nil {
		s.t.Error(err)
		return
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != http.StatusOK {
		s.t.Errorf("%s: %s, %v", url, resp.Status, err)
	}
}

func testPassedThrough(t *testing.T, w *acmeWorld) {
	srv := httptest.NewUnstartedServer(http.NotFoundHandler())
	srv.TLS = &tls.Config{NextProtos: []string{hello.ACMETLS1}}
	srv.StartTLS()
	t.Cleanup(srv.Close)
	_, port, _ := strings.Cut(srv.Listener.Addr().String(), ":")
	w.dns.Handle("customer.test", func(q *dns.Msg) *dns.Msg {
		a := new(dns.Msg).SetReply(q)
		if q.Question[0].Qtype == dns.TypeTXT && strings.HasPrefix(q.Question[0].Name, "_dstack-app-address.") {
			a.Answer = append(a.Answer, &dns.TXT{Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeTXT, Class: dns.ClassINET, Ttl: 60}, Txt: []string{testApp + ":" + port}})
		}
		return a
	})
	s := w.newEmbedded(t, "pass.test", "", fmt.Sprintf("[[instance]]\napp_id = %q\naddress = \"127.0.0.1\"\n[custom_domain]\nenabled = true\nresolvers = [%q]\n", testApp, w.dns.Addr))
	s.gateway()
	s.certified("*.pass.test", "")
	validate := func(name string) (string, error) {
		c, err := tls.Dial("tcp", s.clients, &tls.Config{ServerName: name, NextProtos: []string{hello.ACMETLS1}, InsecureSkipVerify: true})
		if err != nil {
			return "", err
		}
		defer c.Close()
		return c.ConnectionState().NegotiatedProtocol, nil
	}
	for _, name := range []string{testApp + "-" + port + "s.pass.test", "www.customer.test"} {
		if got, err := validate(name); got != hello.ACMETLS1 {
			t.Errorf("%s is passed through: %q, %v: want the app's own answer", name, got, err)
		}
	}
	for _, name := range []string{testApp + "-" + port + ".pass.test", testApp + "-" + port + "g.pass.test", "gateway.pass.test"} {
		if _, err := validate(name); err == nil || !strings.Contains(err.Error(), "no application protocol") {
			t.Errorf("%s ends here: %v, want the alert no_application_protocol", name, err)
		}
	}
}

func testRehearsal(t *testing.T, w *acmeWorld) {
	staging := fmt.Sprintf("\ndirectory = \"https://localhost:1/dir\"\nstaging = %q\n", w.Directory)
	s := w.newEmbedded(t, "test.test", staging)
	if code, said := s.run("acme", "test"); code != 0 || !strings.Contains(said, "*.test.test") || !strings.Contains(said, "ok: a test certificate was issued") {
		t.Errorf("without a gateway: %d, %s", code, said)
	}
	s.gateway()
	s.trouble("*.test.test", "localhost:1") // the real one is down
	if info, err := os.Stat(filepath.Join(s.path("s"), issue.ControlSocket)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the socket: %v, %v, want mode 0600", info, err)
	}
	if code, said := s.run("acme", "test"); code != 0 || !strings.Contains(said, "ok: a test certificate was issued") {
		t.Errorf("beside a gateway, which has the port: %d, %s", code, said)
	}
	if code, said := s.run("acme", "caa"); code != 1 || !strings.Contains(said, "there is no account to pin yet") {
		t.Errorf("caa without an account: %d, %s", code, said)
	}
	s.configure("[[domain]]\nname = \"other.test\"\nacme = true\n", s.embedded()+staging)
	if code, said := s.run("acme", "test"); code != 1 || !strings.Contains(said, "has another configuration") {
		t.Errorf("with another configuration: %d, %s", code, said)
	}

	apex := w.newApexSite(t, "apextest.test", "127.0.0.22", staging)
	if code, said := apex.run("acme", "test"); code != 0 || !strings.Contains(said, "ok: a test certificate was issued") {
		t.Errorf("the apex alone: %d, %s", code, said)
	}
	apex.configure("[[domain]]\nname = \"blocked.test\"\nacme = true\nwildcard = false\n", staging)
	if code, said := apex.run("acme", "test"); code != 1 || !strings.Contains(said, "FAILED: ") {
		t.Errorf("a name that the authority blocks: %d, %s", code, said)
	}
}

func testDamagedStore(t *testing.T, w *acmeWorld) {
	s := w.newEmbedded(t, "damaged.test", "")
	cmd := s.gateway()
	first := s.certified("*.damaged.test", "")
	s.end(cmd)
	db, err := store.OpenBolt(filepath.Join(s.path("s"), store.FileName))
	if err != nil {
		t.Fatal(err)
	}
	stored, err := issue.Store{Store: db}.List(t.Context(), "certificates/")
	if err != nil || len(stored) != 1 {
		t.Fatalf("%d certificates are stored, %v", len(stored), err)
	}
	for key := range stored {
		if err := (issue.Store{Store: db}).Put(t.Context(), key, []byte("{")); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	s.gateway()
	s.certified("*.damaged.test", first.Serial)
}

func testPins(t *testing.T, w *acmeWorld) {
	dir := w.NewDirectory(t, w.ca, "pebble.test")
	s := w.newEmbedded(t, "pins.test", fmt.Sprintf("\ndirectory = %q\n", dir.URL))
	cmd := s.gateway()
	s.certified("*.pins.test", "")
	m, err := dns.Exchange(new(dns.Msg).SetQuestion("pins.test.", dns.TypeCAA), s.dns)
	if err != nil || len(m.Answer) != 2 {
		t.Fatalf("CAA: %v, %v", m, err)
	}
	for _, rr := range m.Answer {
		if !strings.Contains(rr.String(), "pebble.test;validationmethods=dns-01;accounturi=https://") {
			t.Errorf("%s: want it to name authority, method and account", rr)
		}
	}
	const want = `pins.test. IN CAA 0 issuewild "pebble.test;validationmethods=dns-01;accounturi=https://`
	if code, said := s.run("acme", "caa"); code != 0 || !strings.Contains(said, want) || !strings.Contains(said, "pinned to this account") {
		t.Errorf("caa, asked of the gateway: %d, %s", code, said)
	}
	s.end(cmd)
	if code, said := s.run("acme", "caa"); code != 1 || !strings.Contains(said, want) || !strings.Contains(said, "REFUSED: CAA records cannot be looked up") {
		t.Errorf("caa, from the store, while nobody answers for the domain: %d, %s", code, said)
	}
	if code, said := s.run("acme", "caa", "--set"); !strings.Contains(said, "the gateway itself publishes") {
		t.Errorf("caa --set: %d, %s", code, said)
	}
}
