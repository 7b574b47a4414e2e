package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/miekg/dns"

	"sallyport/admin"
	"sallyport/internal/gwtest"
	"sallyport/internal/proxyproto"
)

// dnsServer answers TXT questions from records, and nothing else.
func dnsServer(t *testing.T, records map[string]string) string {
	t.Helper()
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	started := make(chan struct{})
	srv := &dns.Server{PacketConn: pc, NotifyStartedFunc: func() { close(started) }, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg).SetReply(q)
		name := strings.ToLower(strings.TrimSuffix(q.Question[0].Name, "."))
		if text, ok := records[name]; ok && q.Question[0].Qtype == dns.TypeTXT {
			m.Answer = append(m.Answer, &dns.TXT{
				Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeTXT, Class: dns.ClassINET, Ttl: 60}, Txt: []string{text},
			})
		} else {
			m.Rcode = dns.RcodeNameError
		}
		_ = w.WriteMsg(m)
	})}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = srv.ActivateAndServe()
	}()
	<-started
	t.Cleanup(func() {
		_ = srv.Shutdown()
		<-done
	})
	return pc.LocalAddr().String()
}

// secureWeb is a TLS server on this machine, with a certificate of its own for names.
func secureWeb(t *testing.T, says string, names ...string) (addr string, roots *x509.CertPool) {
	t.Helper()
	ca := gwtest.NewCA(t)
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, says) }))
	srv.TLS = &tls.Config{Certificates: []tls.Certificate{ca.Server(t, names...)}}
	srv.StartTLS()
	t.Cleanup(srv.Close)
	return srv.Listener.Addr().String(), ca.Pool()
}

func TestCustomDomainsLeadToTheAppTheirOwnerNames(t *testing.T) {
	resolver := dnsServer(t, map[string]string{
		"_dstack-app-address.www.customer.org":      testApp + ":443",
		"_dstack-app-address-wildcard.customer.net": vm1 + ":443",
		"_tapp-address.old.customer.org":            testApp + ":443",
		"_dstack-app-address.my_app.customer.org":   "  \"" + testApp + ":443\"", // pasted into a form
		"_dstack-app-address.lost.customer.org":     "nobody:443",
		"_dstack-app-address.odd.customer.org":      testApp + ": 443",
	})
	s := newSite(t, fmt.Sprintf("[custom_domain]\nenabled = true\nresolvers = [%q]\n", resolver))
	s.machine("vm1", vm1)
	s.gateway()
	s.until("the gateway is up", serving(0))
	addr, roots := secureWeb(t, "the customer's own", "www.customer.org", "my_app.customer.org", "any.customer.net", "old.customer.org")
	s.join("vm1", "--forward", "443="+addr)
	s.until("the machine is up", serving(1))
	for range 2 { // looked up, and remembered
		for _, name := range []string{"www.customer.org", "WWW.Customer.org", "any.customer.net", "old.customer.org", "my_app.customer.org"} {
			if got, err := s.fetch(name, roots); got != "the customer's own" {
				t.Errorf("%s: %q, %v", name, got, err)
			}
		}
	}
	for _, name := range []string{"lost.customer.org", "odd.customer.org", "unknown.example.com", "a.b.gw.test", "gw.test"} {
		if _, err := s.fetch(name, roots); err == nil || !strings.Contains(err.Error(), "unrecognized name") {
			t.Errorf("%s: %v, want the alert unrecognized_name", name, err)
		}
	}
	for name, why := range map[string]string{
		"lost.customer.org":   "the TXT record says nobody:443",
		"odd.customer.org":    "the port is not a number",
		"unknown.example.com": "no custom domain record",
	} {
		if line := s.access("server_name=" + name); !strings.Contains(line, why) {
			t.Errorf("the log does not say %q: %s", why, line)
		}
	}
}

func TestTwoDomainsServeTheSameApps(t *testing.T) {
	s := newSite(t, "[[domain]]\nname = \"second.test\"\ncert = \"web2.pem\"\nkey = \"web2.key\"\n")
	s.machine("vm1", vm1)
	s.gateway()
	s.until("the gateway is up", serving(0))
	s.join("vm1", "--forward", "80="+web(t, "one"))
	s.until("the machine is up", serving(1))
	for _, domain := range []string{"gw.test", "second.test", "SECOND.test"} {
		if got, err := s.fetch(testApp+"."+domain, s.roots); got != "one" {
			t.Errorf("%s: %q, %v", domain, got, err)
		}
	}
	if _, err := s.fetch(testApp+".third.test", s.roots); err == nil || !strings.Contains(err.Error(), "unrecognized name") {
		t.Errorf("third.test: %v", err)
	}
}

func TestMachineThatAsksForItLearnsItsClient(t *testing.T) {
	s := newSite(t)
	s.machine("vm1", vm1)
	gw := s.gateway()
	s.until("the gateway is up", serving(0))
	at, headers := headerReader(t)
	s.join("vm1", "--forward", "80="+at, "--port", "80,proxy")
	s.until("the machine is up", serving(1))
	learned := func() proxyproto.Header {
		t.Helper()
		if body, err := s.get(testApp); body != "hello" {
			t.Fatalf("%q, %v", body, err)
		}
		h := <-headers
		if h.Source.Addr().String() != "127.0.0.1" || h.Destination.String() != s.clients {
			t.Errorf("header %v → %v", h.Source, h.Destination)
		}
		if name, _ := h.TLVs.Get(proxyproto.TypeAuthority); string(name) != testApp+".gw.test" {
			t.Errorf("authority %q", name)
		}
		return h
	}
	if _, ok := learned().TLVs.Get(proxyproto.TypeUniqueID); ok {
		t.Error("more than the name, and nobody asked for it")
	}

	// Those that are listed learn all that is known.
	file, err := os.ReadFile(s.path("gateway.toml"))
	if err != nil {
		t.Fatal(err)
	}
	listed := strings.Replace(string(file), "[proxy]\n", "[proxy]\nproxy_tlvs = [\""+testApp+"\"]\n", 1)
	if err := os.WriteFile(s.path("gateway.toml"), []byte(listed), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := gw.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	s.until("the file has been read", func(*admin.Status) bool { return strings.Contains(s.log.String(), "configuration read") })
	h := learned()
	for _, kind := range []proxyproto.Type{proxyproto.TypeUniqueID, proxyproto.TypeSSL} {
		if _, ok := h.TLVs.Get(kind); !ok {
			t.Errorf("extension %#x is missing", kind)
		}
	}
}

// headerReader is a server that wants a PROXY header, which it tells, before HTTP.
func headerReader(t *testing.T) (at string, headers <-chan proxyproto.Header) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	got := make(chan proxyproto.Header, 10)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			head := make([]byte, 16)
			_, _ = io.ReadFull(c, head)
			rest := make([]byte, int(head[14])<<8+int(head[15]))
			_, _ = io.ReadFull(c, rest)
			h, _, err := proxyproto.Parse(append(head, rest...))
			if err != nil {
				t.Error(err)
			}
			got <- h
			_, _ = io.WriteString(c, "HTTP/1.0 200 OK\r\n\r\nhello")
			c.Close()
		}
	}()
	return l.Addr().String(), got
}
