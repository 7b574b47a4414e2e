package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sallyport/admin"
	"sallyport/internal/gwtest"
	"sallyport/ratls"
)

func TestClientVerifiesTheGatewaysOwnEvidence(t *testing.T) {
	agent := newGuestAgent(t)
	s, err := newRATLSSite(t, agent.Socket, shopOne)
	if err != nil {
		t.Fatal(err)
	}
	s.run()
	listeners, port := listen(t, one)
	serveWeb(t, listeners[0], nil)
	url := "https://aaaa-" + port + ".gw.test/"
	resp, err := s.dialling(agent.verifier(t).HTTPClient(agent.peer())).Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if b, err := io.ReadAll(resp.Body); err != nil || string(b) != "plain" {
		t.Errorf("%q, %v", b, err)
	}
	if _, err := s.get("aaaa-" + port); err == nil {
		t.Error("a client that knows authorities alone accepts the certificate")
	}

	st := s.until("status", func(*admin.Status) bool { return true })
	if c := st.Certificates[0]; c.Domain != "gw.test" || time.Until(c.NotAfter) < 23*time.Hour || time.Until(c.NotAfter) > 24*time.Hour {
		t.Errorf("status says %+v", c)
	}
	for path, want := range map[string]string{"/readyz": "", "/metrics": `gateway_certificate_not_after_seconds{domain="gw.test"}`} {
		resp, err := http.Get("http://" + s.admin + path)
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK || !strings.Contains(string(b), want) {
			t.Errorf("%s: %s\n%s", path, resp.Status, b)
		}
	}
}

func TestKeyOfOwnCertificateIsOnNoDisk(t *testing.T) {
	s, err := newRATLSSite(t, newGuestAgent(t).Socket)
	if err != nil {
		t.Fatal(err)
	}
	s.run()
	err = filepath.WalkDir(s.dir, func(name string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(name)
		if strings.Contains(string(b), "PRIVATE KEY") || strings.HasSuffix(name, ".key") {
			t.Errorf("%s holds a key", name)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// served is the certificate that a client of the gateway gets.
func (s *ratlsSite) served(name string) (*x509.Certificate, error) {
	c, err := tls.Dial("tcp", s.clients, &tls.Config{ServerName: name, InsecureSkipVerify: true})
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return c.ConnectionState().PeerCertificates[0], nil
}

func TestOpenSSLReadsOwnCertificate(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("openssl is missing: install it")
	}
	s, err := newRATLSSite(t, newGuestAgent(t).Socket)
	if err != nil {
		t.Fatal(err)
	}
	s.run()
	leaf, err := s.served("gateway.gw.test")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), openssl, "x509", "-text", "-noout")
	cmd.Stdin = strings.NewReader(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leaf.Raw})))
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{
		"Issuer: CN = *.gw.test", "Subject: CN = *.gw.test", "DNS:*.gw.test, DNS:gw.test", "TLS Web Server Authentication",
		"CA:FALSE", "NIST CURVE: P-256", "1.3.6.1.4.1.62397.1.8:", "ecdsa-with-SHA256",
	} {
		if !strings.Contains(string(out), want) {
			t.Errorf("openssl does not say %q:\n%s", want, out)
		}
	}
}

// always makes every look renew.
func always(r *ratls.Renewer) { r.Renewal, r.Look = 0, 5*time.Millisecond }

// 20 renewals, handshakes without a pause, and a connection that is open all the while.
func TestRenewalFailsNoHandshake(t *testing.T) {
	agent := newGuestAgent(t)
	s, err := newRATLSSite(t, agent.Socket, shopOne)
	if err != nil {
		t.Fatal(err)
	}
	always(s.g.own)
	s.run()
	listeners, port := listen(t, one)
	serveWeb(t, listeners[0], nil)
	conf := agent.verifier(t).ClientConfig(agent.peer())
	conf.ServerName = "aaaa-" + port + ".gw.test"
	open, err := tls.Dial("tcp", s.clients, conf)
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	seen := map[string]bool{}
	for n := 0; len(seen) < 20; n++ {
		c, err := tls.Dial("tcp", s.clients, conf)
		if err != nil {
			t.Fatalf("handshake %d, after %d renewals: %v", n, len(seen), err)
		}
		seen[c.ConnectionState().PeerCertificates[0].SerialNumber.Text(16)] = true
		c.Close()
	}
	if _, err := io.WriteString(open, "GET / HTTP/1.0\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(open); err != nil || !strings.HasPrefix(string(b), "HTTP/1.0 200") {
		t.Errorf("the connection from before: %q, %v", b, err)
	}
}

func TestFailedRenewalKeepsTheOldCertificate(t *testing.T) {
	agent := newGuestAgent(t)
	s, err := newRATLSSite(t, agent.Socket)
	if err != nil {
		t.Fatal(err)
	}
	before := s.g.certs.Status()[0].Serial
	agent.Broken.Store(true)
	always(s.g.own)
	s.run()
	s.waitFor("cannot renew the certificate; the current one stays in use")
	leaf, err := s.served("gateway.gw.test")
	if err != nil {
		t.Fatal(err)
	}
	if got := leaf.SerialNumber.Text(16); got != before {
		t.Errorf("serves %s, want %s", got, before)
	}
	if text := s.log.String(); !strings.Contains(text, "domain=gw.test") || !strings.Contains(text, "next_try=1m0s") || !strings.Contains(text, "out of quotes") {
		t.Errorf("log:\n%s", text)
	}
}

// waitFor waits until the log says so.
func (s *ratlsSite) waitFor(line string) {
	s.t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	late := time.After(40 * time.Second)
	for !strings.Contains(s.log.String(), line) {
		select {
		case <-tick.C:
		case <-late:
			s.t.Fatalf("waited in vain for %q:\n%s", line, s.log.String())
		}
	}
}

func TestAgentThatRefusesAtStartEndsIt(t *testing.T) {
	agent := newGuestAgent(t)
	agent.Broken.Store(true)
	s, err := newRATLSSite(t, agent.Socket)
	if err == nil || !strings.Contains(err.Error(), "[[domain]] gw.test: ratls: make certificate: ") || !strings.Contains(err.Error(), "out of quotes") {
		t.Errorf("%v", err)
	}
	if s.clients != "" {
		t.Error("clients were listened for")
	}
}

func TestMachineThatCannotQuoteDoesNotStart(t *testing.T) {
	const kernel = "/sys/kernel/config/tsm/report"
	if _, err := os.Stat(kernel); err == nil {
		t.Skipf("this machine can quote: it has %s", kernel)
	}
	file, socket := filepath.Join(t.TempDir(), "gateway.toml"), filepath.Join(t.TempDir(), "none.sock")
	text := fmt.Sprintf("[[domain]]\nname = \"gw.test\"\nratls = true\n[wireguard]\nmode = \"none\"\n[proxy]\nlisten = [\"127.0.0.1:0\"]\n"+
		"[store]\npath = \"store\"\n[admin]\nlisten = \"off\"\n[rpc]\ndstack_agent = %q\n", socket)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	want := "[[domain]] gw.test: ratls needs a confidential VM: no quote source: this machine has no " + socket +
		", no " + kernel + "; mount the guest agent's socket, or give cert and key"
	for _, verb := range []string{"run", "check"} {
		code, stdout, stderr := gwtest.Outcome(t, verb, "--config", file)
		if code != 1 || !strings.Contains(stdout+stderr, want) {
			t.Errorf("%s: code %d\n%s%s\nwant %s", verb, code, stdout, stderr, want)
		}
	}
}
