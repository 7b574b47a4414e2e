package gateway

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport/internal/gwtest"
	"sallyport/ratls"
)

func TestClientVerifiesTheGatewaysOwnEvidence(t *testing.T) {
	agent := newGuestAgent(t)
	s, err := newOwnSite(t, agent.Socket, shopOne)
	if err != nil {
		t.Fatal(err)
	}
	s.run()
	listeners, port := gwtest.Listen(t, one)
	gwtest.ServeWeb(t, listeners[0], nil)
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

	if c := s.g.Status().Certificates[0]; c.Domain != "gw.test" || time.Until(c.NotAfter) < 23*time.Hour || time.Until(c.NotAfter) > 24*time.Hour {
		t.Errorf("status says %+v", c)
	}
	for path, want := range map[string]string{"/readyz": "", "/metrics": `gateway_certificate_not_after_seconds{domain="gw.test"}`} {
		if code, text := s.page(path); code != http.StatusOK || !strings.Contains(text, want) {
			t.Errorf("%s: %d\n%s", path, code, text)
		}
	}
}

func TestKeyOfOwnCertificateIsOnNoDisk(t *testing.T) {
	s, err := newOwnSite(t, newGuestAgent(t).Socket)
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
func (s ownSite) served(name string) (*x509.Certificate, error) {
	c, err := tls.Dial("tcp", s.clients(), &tls.Config{ServerName: name, InsecureSkipVerify: true})
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
	s, err := newOwnSite(t, newGuestAgent(t).Socket)
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
	s, err := newOwnSite(t, agent.Socket, shopOne)
	if err != nil {
		t.Fatal(err)
	}
	always(s.g.own)
	s.run()
	listeners, port := gwtest.Listen(t, one)
	gwtest.ServeWeb(t, listeners[0], nil)
	conf := agent.verifier(t).ClientConfig(agent.peer())
	conf.ServerName = "aaaa-" + port + ".gw.test"
	open, err := tls.Dial("tcp", s.clients(), conf)
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	seen := map[string]bool{}
	for n := 0; len(seen) < 20; n++ {
		c, err := tls.Dial("tcp", s.clients(), conf)
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
	s, err := newOwnSite(t, agent.Socket)
	if err != nil {
		t.Fatal(err)
	}
	before := s.g.certs.Status()[0].Serial
	agent.Broken.Store(true)
	always(s.g.own)
	s.run()
	gwtest.Await(t, "a renewal fails", func() bool {
		return strings.Contains(s.log.String(), "cannot renew the certificate; the current one stays in use")
	})
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

func TestAgentThatRefusesAtStartEndsIt(t *testing.T) {
	agent := newGuestAgent(t)
	agent.Broken.Store(true)
	s, err := newOwnSite(t, agent.Socket)
	if err == nil || !strings.Contains(err.Error(), "[[domain]] gw.test: ratls: make certificate: ") || !strings.Contains(err.Error(), "out of quotes") {
		t.Errorf("%v", err)
	}
	if strings.Contains(s.log.String(), "listening for clients") {
		t.Error("clients were listened for")
	}
}

// What the gateway publishes about a certificate of its own making: the key without a quote,
// and that the evidence is in the certificate.
func TestOwnCertificateIsPublishedWithItsKey(t *testing.T) {
	agent := newGuestAgent(t)
	s, err := newOwnSite(t, agent.Socket)
	if err != nil {
		t.Fatal(err)
	}
	s.run()
	text, err := s.body("https://gateway.gw.test/.dstack/acme-info", agent.verifier(t).ClientConfig(agent.peer()))
	if err != nil {
		t.Fatal(err)
	}
	var info struct {
		HistKeys   []string `json:"hist_keys"`
		QuotedKeys []struct {
			PublicKey string `json:"public_key"`
			Quote     string `json:"quote"`
		} `json:"quoted_hist_keys"`
		ActiveCert string `json:"active_cert"`
		BaseDomain string `json:"base_domain"`
		AccountURI string `json:"account_uri"`
		Evidence   string `json:"evidence"`
	}
	if err := json.Unmarshal([]byte(text), &info); err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode([]byte(info.ActiveCert))
	if block == nil {
		t.Fatalf("active_cert has no PEM: %s", text)
	}
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ratls.EvidenceOf(leaf); err != nil {
		t.Error(err)
	}
	key := hex.EncodeToString(leaf.RawSubjectPublicKeyInfo)
	if !slices.Equal(info.HistKeys, []string{key}) || len(info.QuotedKeys) != 1 || info.QuotedKeys[0].PublicKey != key || info.QuotedKeys[0].Quote != "" {
		t.Errorf("keys %v, with quotes %v; want %s alone", info.HistKeys, info.QuotedKeys, key)
	}
	if info.BaseDomain != "gw.test" || info.AccountURI != "" || !strings.HasPrefix(info.Evidence, "certificate: ") {
		t.Errorf("%+v", info)
	}
}
