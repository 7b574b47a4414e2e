package main

import (
	"context"
	"crypto/sha512"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"sallyport/admin"
	"sallyport/internal/gwtest"
	"sallyport/internal/gwtest/pebble"
	"sallyport/internal/gwtest/tdxpki"
	"sallyport/ratls/tdx"
)

// monitored is what dstack's ct_monitor reads of the page; pointers are members that it
// demands.
type monitored struct {
	AccountURI string    `json:"account_uri"`
	HistKeys   *[]string `json:"hist_keys"`
	Quoted     *[]struct {
		PublicKey string `json:"public_key"`
		Quote     string `json:"quote"`
	} `json:"quoted_hist_keys"`
	AccountQuote       string `json:"account_quote"`
	AccountAttestation string `json:"account_attestation"`
	ActiveCert         string `json:"active_cert"`
	BaseDomain         string `json:"base_domain"`
	Evidence           string `json:"evidence"` // that it does not know
}

// watch judges the page as ct_monitor does: each quoted key's quote is of this key, and the
// certificate in use has a key that is listed.
func (m *monitored) watch() error {
	if m.HistKeys == nil || m.Quoted == nil {
		return errors.New("hist_keys or quoted_hist_keys is missing")
	}
	for _, k := range *m.Quoted {
		key, err := hex.DecodeString(k.PublicKey)
		if err != nil {
			return err
		}
		if err := quoteOfThing(k.Quote, "zt-cert:"+string(key)); err != nil {
			return fmt.Errorf("key %.16s…: %w", k.PublicKey, err)
		}
	}
	leaf, err := m.leaf()
	if err != nil {
		return err
	}
	for _, k := range *m.HistKeys {
		if k == hex.EncodeToString(leaf.RawSubjectPublicKeyInfo) {
			return nil
		}
	}
	return errors.New("the certificate in use has a key that is not in hist_keys")
}

// quoteOfThing takes what a verifier is sent.
func quoteOfThing(text, thing string) error {
	var q struct{ Quote, Event_log, VM_config *string }
	if err := json.Unmarshal([]byte(text), &q); err != nil {
		return err
	}
	if q.Quote == nil || q.Event_log == nil || q.VM_config == nil {
		return errors.New("quote, event_log or vm_config is missing")
	}
	raw, err := hex.DecodeString(*q.Quote)
	if err != nil {
		return err
	}
	quote, err := tdx.Parse(raw)
	if err != nil {
		return err
	}
	if quote.TD.ReportData != sha512.Sum512([]byte(thing)) {
		return errors.New("the quote is of something else")
	}
	return nil
}

func (m *monitored) leaf() (*x509.Certificate, error) {
	block, _ := pem.Decode([]byte(m.ActiveCert))
	if block == nil {
		return nil, errors.New("active_cert is no PEM")
	}
	return x509.ParseCertificate(block.Bytes)
}

// acmeInfo gets the page of a domain; conf is how the connection is secured.
func (s *site) acmeInfo(domain string, conf *tls.Config) *monitored {
	s.t.Helper()
	client := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true, TLSClientConfig: conf,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "tcp", s.clients)
		},
	}}
	resp, err := client.Get("https://gateway." + domain + "/.dstack/acme-info")
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	m := &monitored{}
	if err = errors.Join(err, json.Unmarshal(body, m)); err != nil || resp.StatusCode != http.StatusOK {
		s.t.Fatalf("%s: %s %v\n%.300s", domain, resp.Status, err, body)
	}
	return m
}

// Everything is the real thing but the authority and the hardware: the gateway orders a certificate,
// has its key quoted, serves it, and publishes what proves where the key is.
func TestKeyOfAnOrderedCertificateIsProvenToBeInTheMachine(t *testing.T) {
	agent := tdxpki.NewAgent(t)
	w := newACMEWorld(t, pebble.Options{})
	s := w.newEmbedded(t, "proof.test", "", fmt.Sprintf("[rpc]\ndstack_agent = %q\n", agent.Socket))
	s.gateway()
	s.certified("*.proof.test", "")

	conf := &tls.Config{RootCAs: s.roots}
	var m *monitored
	s.until("evidence of the account", func(*admin.Status) bool { // it comes after the certificate's
		m = s.acmeInfo("proof.test", conf)
		return m.AccountQuote != ""
	})
	if err := m.watch(); err != nil {
		t.Error(err)
	}
	if m.Evidence != "all" || m.BaseDomain != "proof.test" || len(*m.HistKeys) != 1 || len(*m.Quoted) != 1 {
		t.Errorf("%+v", m)
	}
	if err := quoteOfThing(m.AccountQuote, "acme-account:"+m.AccountURI); err != nil || m.AccountURI == "" || m.AccountAttestation == "" {
		t.Errorf("account %q: %v", m.AccountURI, err)
	}

	collateral := agent.World.Collateral().Sign().File()
	root := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: agent.World.Root.Cert().Raw})
	for file, content := range map[string][]byte{
		"collateral.json": collateral, "root.pem": root,
		"policy.toml": []byte("[attestation]\ninsecure_root_ca = \"root.pem\"\ncollateral_file = \"collateral.json\"\n"),
	} {
		if err := os.WriteFile(s.path(file), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	code, out, stderr := gwtest.Outcome(t, "verify", "--connect", s.clients, "--policy", s.path("policy.toml"), "--app", hex.EncodeToString(agent.World.Guest(tdxpki.Guest{}).AppInfo.AppID[:]),
		"--measurement", agent.World.System(tdxpki.Guest{}).Flag(), "gateway.proof.test")
	if code != 0 || !strings.Contains(out, "VERIFIED") || !strings.Contains(out, "/.dstack/acme-info") {
		t.Errorf("verify: exit code %d\n%s%s", code, out, stderr)
	}
}

func TestCertificateFromFilesIsPublishedWithoutEvidence(t *testing.T) {
	s := newSite(t, "[[domain]]\nname = \"second.test\"\ncert = \"web2.pem\"\nkey = \"web2.key\"\n")
	s.gateway()
	s.until("status", func(*admin.Status) bool { return true })
	for _, domain := range []string{"gw.test", "second.test"} {
		m := s.acmeInfo(domain, &tls.Config{RootCAs: s.roots})
		s.publishesKeyAlone(m, domain, "none: ")
		leaf, err := m.leaf()
		if err != nil || leaf.VerifyHostname("gateway."+domain) != nil {
			t.Errorf("%s: certificate %v, %v", domain, leaf, err)
		}
	}

	// The guests' API tells the first, and that of a domain that is named.
	for query, domain := range map[string]string{"": "gw.test", "?domain=second.test": "second.test"} {
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
		resp, err := client.Get("https://" + s.guests + "/prpc/AcmeInfo" + query)
		if err != nil {
			t.Fatal(err)
		}
		m := &monitored{}
		err = json.NewDecoder(resp.Body).Decode(m)
		resp.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		s.publishesKeyAlone(m, domain, "none: ")
	}
}

// publishesKeyAlone checks that m has the key of its certificate, no quote, and says why.
func (s *site) publishesKeyAlone(m *monitored, domain, why string) {
	s.t.Helper()
	leaf, err := m.leaf()
	if err != nil {
		s.t.Fatalf("%s: %v", domain, err)
	}
	key := hex.EncodeToString(leaf.RawSubjectPublicKeyInfo)
	switch {
	case m.HistKeys == nil || len(*m.HistKeys) != 1 || (*m.HistKeys)[0] != key:
		s.t.Errorf("%s: hist_keys %v, want %s", domain, m.HistKeys, key)
	case m.Quoted == nil || len(*m.Quoted) != 1 || (*m.Quoted)[0].PublicKey != key || (*m.Quoted)[0].Quote != "":
		s.t.Errorf("%s: quoted_hist_keys %v", domain, m.Quoted)
	case m.BaseDomain != domain || m.AccountURI+m.AccountQuote+m.AccountAttestation != "" || !strings.HasPrefix(m.Evidence, why):
		s.t.Errorf("%s: %+v", domain, m)
	case m.watch() == nil:
		s.t.Errorf("%s: a monitor that demands quotes is content", domain)
	}
}
