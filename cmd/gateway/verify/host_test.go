package verify

import (
	"context"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"sallyport/internal/gwtest"
	"sallyport/internal/gwtest/tdxpki"
)

// tlsHost serves TLS on loopback with a certificate until the test ends.
func tlsHost(t *testing.T, cert tls.Certificate, h http.Handler) (address string) {
	t.Helper()
	srv := httptest.NewUnstartedServer(h)
	srv.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
	srv.StartTLS()
	t.Cleanup(srv.Close)
	return srv.Listener.Addr().String()
}

func TestHostIsVerifiedByItsCertificate(t *testing.T) {
	v := newVerification(t)
	m := v.world.Guest(tdxpki.Guest{})
	at := tlsHost(t, m.Certificate, http.NotFoundHandler())
	v.wantVerified([]string{at}, at+`: certificate "CN=dstack-guest-agent"`, "✓ key binding                    ratls-cert", "✓ certificate ")
	v.wantVerified([]string{"https://" + at + "/index.html"})
	v.wantVerified([]string{at, "--app", hex.EncodeToString(m.AppInfo.AppID)})
	v.wantRefused([]string{at, "--app", strings.Repeat("ee", 20)}, "REFUSED: app is the one asked for: is app ")
}

func TestHostMayBeReachedElsewhere(t *testing.T) {
	v := newVerification(t)
	m := v.world.Guest(tdxpki.Guest{})
	at := tlsHost(t, m.Certificate, http.NotFoundHandler())
	v.wantVerified([]string{"vm.example.com", "--connect", at}, "vm.example.com: certificate ")
	v.wantError([]string{"verify.go", "--connect", at}, "--connect is for hosts, and this is a file")
}

// publisher is a host with a certificate of a CA, and what it publishes about keys.
type publisher struct {
	*verification
	cert tls.Certificate
}

func newPublisher(t *testing.T) *publisher {
	t.Helper()
	p := &publisher{verification: newVerification(t)}
	p.cert = gwtest.NewCA(t).Server(t, "gateway.gw.test")
	return p
}

// key is the certificate's own, with evidence that binds it under a tag.
func (p *publisher) key(tag string, attested bool) publishedKey {
	spki := p.cert.Leaf.RawSubjectPublicKeyInfo
	m := p.world.Guest(tdxpki.Guest{ChangeQuote: func(q *tdxpki.Quote) { q.TD.ReportData = tdxpki.ReportData(tag, spki) }})
	k := publishedKey{PublicKey: hex.EncodeToString(spki), Quote: string(getQuoteOf(m, true))}
	if attested {
		k.Attestation = fmt.Sprintf(`{"attestation":"%x"}`, m.Attestation.V0())
	}
	return k
}

// serve publishes as a gateway does.
func (p *publisher) serve(keys ...publishedKey) (address string) {
	return tlsHost(p.t, p.cert, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet || r.URL.Path != "/.dstack/acme-info" {
			http.NotFound(w, r)
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]any{
			"account_uri": "https://acme.test/1", "hist_keys": []string{"00"}, "quoted_hist_keys": keys, "account_quote": "", "account_attestation": "",
		})
	}))
}

func TestHostIsVerifiedByWhatItPublishes(t *testing.T) {
	p := newPublisher(t)
	old := publishedKey{PublicKey: "00ff", Quote: "not looked at"}
	for name, k := range map[string]publishedKey{"attestation": p.key("zt-cert", true), "quote": p.key("zt-cert", false)} {
		t.Run(name, func(*testing.T) {
			at := p.serve(old, k)
			p.wantVerified([]string{at}, at+`: certificate "`, " from /.dstack/acme-info\n",
				"✓ key binding                    zt-cert", "– issuer                         not checked")
		})
	}
}

func TestPublishedEvidenceMustBeForTheCertificatesKey(t *testing.T) {
	p := newPublisher(t)
	p.wantRefused([]string{p.serve(p.key("ratls-cert", true))}, "✗ key binding")
	other := newPublisher(t).key("zt-cert", true)
	other.PublicKey = p.key("", false).PublicKey
	p.wantRefused([]string{p.serve(other)}, "✗ key binding")
}

func TestHostWithoutEvidenceIsToldApart(t *testing.T) {
	p := newPublisher(t)
	own := p.key("zt-cert", true)
	bad := own
	bad.Attestation = "no JSON"
	for name, test := range map[string]struct {
		at   string
		says string
	}{
		"nothing published": {tlsHost(t, p.cert, http.NotFoundHandler()), "it publishes none at /.dstack/acme-info: status 404"},
		"no JSON": {tlsHost(t, p.cert, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "<html>")
		})), "the answer is not JSON"},
		"endless": {tlsHost(t, p.cert, tdxpki.TooMuch(1<<30)), "the answer is not JSON"},
		"no keys": {p.serve(), "of the 0 keys at /.dstack/acme-info none is the certificate's"},
		"another key": {
			p.serve(publishedKey{PublicKey: "00", Attestation: own.Attestation}),
			"of the 1 keys at /.dstack/acme-info none is the certificate's",
		},
		"key without evidence": {p.serve(publishedKey{PublicKey: own.PublicKey}), "so it was made outside a CVM"},
		"evidence of no form":  {p.serve(bad), "evidence of its certificate's key: answer to GetQuote in JSON: invalid"},
	} {
		t.Run(name, func(*testing.T) { p.wantError([]string{test.at}, test.says) })
	}
}

// Who waits for a host that does not answer can end that.
func TestSilentHostIsNotWaitedFor(t *testing.T) {
	p := newPublisher(t)
	asked := make(chan struct{}, 1)
	silent := tlsHost(t, p.cert, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		<-r.Context().Done()
	}))
	mute, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer mute.Close()
	go func() {
		c, err := mute.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		asked <- struct{}{}
		_, _ = io.Copy(io.Discard, c) // until the client leaves
	}()
	for name, at := range map[string]string{"handshake": mute.Addr().String(), "publication": silent} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			go func() {
				<-asked
				cancel()
			}()
			if s, err := dialSubject(ctx, at, ""); err == nil || s != nil {
				t.Errorf("%+v", s)
			}
		})
	}
}
