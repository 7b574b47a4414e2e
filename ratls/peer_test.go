package ratls

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"sallyport/internal/gwtest/tdxpki"
	"sallyport/ratls/pccs"
)

func TestClientAcceptsAnAttestedServer(t *testing.T) {
	w := newWorld(t)
	server := w.shows(w.Guest(tdxpki.Guest{}).Certificate)
	if _, err, _ := connect(t, w.verifier(t, nil).ClientConfig(Peer{AnySystem: true}), server); err != nil {
		t.Error(err)
	}
	server.MaxVersion = tls.VersionTLS12
	if _, err, _ := connect(t, w.verifier(t, nil).ClientConfig(Peer{AnySystem: true}), server); err == nil {
		t.Error("TLS 1.2 is accepted")
	}
	_, err, _ := connect(t, w.verifier(t, &Policy{Apps: []AppID{}}).ClientConfig(Peer{AnySystem: true}), w.shows(w.Guest(tdxpki.Guest{}).Certificate))
	wantError(t, err, "attested peer: policy: app: refused by policy")
}

// A session that is resumed shows no certificate, and is judged all the same.
func TestResumedSessionIsJudgedAgain(t *testing.T) {
	w := newWorld(t)
	v := w.verifier(t, nil)
	server := w.shows(w.Guest(tdxpki.Guest{}).Certificate)
	client := v.ClientConfig(Peer{AnySystem: true})
	client.ClientSessionCache, client.ServerName, client.Time = tls.NewLRUClientSessionCache(1), "guest", w.now
	for i := range 2 {
		state, err, _ := connect(t, client, server)
		if err != nil || state.DidResume != (i == 1) {
			t.Fatalf("connection %d: resumed: %v, %v", i, state.DidResume, err)
		}
	}
	v.SetPolicy(&Policy{Apps: []AppID{}})
	_, err, _ := connect(t, client, server)
	wantError(t, err, "attested peer: policy: app: refused by policy")
}

func TestServerJudgesItsClients(t *testing.T) {
	w := newWorld(t)
	v := w.verifier(t, nil)
	server := w.shows(w.Guest(tdxpki.Guest{}).Certificate)
	server.ClientAuth = tls.RequireAnyClientCert
	server.VerifyConnection = v.VerifyConnection(Peer{AnySystem: true})
	client := w.shows(w.Guest(tdxpki.Guest{Form: tdxpki.FormLegacy}).Certificate)
	for i := range 2 {
		state, err, serverErr := connect(t, client, server)
		if err != nil || serverErr != nil || state.DidResume != (i == 1) {
			t.Fatalf("connection %d: resumed: %v, %v, %v", i, state.DidResume, err, serverErr)
		}
	}
	v.SetPolicy(&Policy{Apps: []AppID{}})
	_, _, err := connect(t, client, server) // resumed: the certificate is the session's
	wantError(t, err, "attested peer: policy: app: refused by policy")

	v.SetPolicy(nil)
	_, _, err = connect(t, w.shows(w.Guest(tdxpki.Guest{Form: tdxpki.FormNone}).Certificate), server)
	wantError(t, err, "attested peer: no attestation provided")
	server.ClientAuth = tls.RequestClientCert // who forgets to require one
	_, _, err = connect(t, &tls.Config{InsecureSkipVerify: true}, server)
	wantError(t, err, "attested peer: has no certificate")
}

// Whose evidence is in a certificate is not enough: the handshake finds out who has its key.
func TestCopiedCertificateHelpsNobody(t *testing.T) {
	w := newWorld(t)
	v := w.verifier(t, nil)
	stolen := w.Guest(tdxpki.Guest{}).Certificate
	stolen.PrivateKey = w.Key("thief")
	server := w.shows(w.Guest(tdxpki.Guest{}).Certificate)
	server.ClientAuth, server.VerifyConnection = tls.RequireAnyClientCert, v.VerifyConnection(Peer{AnySystem: true})
	if _, _, err := connect(t, w.shows(stolen), server); err == nil {
		t.Error("the server takes it")
	}
	if _, err, _ := connect(t, v.ClientConfig(Peer{AnySystem: true}), w.shows(stolen)); err == nil {
		t.Error("the client takes it")
	}
}

func TestVerifyPeerCertificateJudgesBothSides(t *testing.T) {
	w := newWorld(t)
	v := w.verifier(t, nil)
	guest := w.Guest(tdxpki.Guest{}).Certificate
	server, client := w.shows(guest), w.shows(guest)
	server.ClientAuth, server.VerifyPeerCertificate = tls.RequireAnyClientCert, v.VerifyPeerCertificate(Peer{AnySystem: true})
	client.VerifyPeerCertificate = v.VerifyPeerCertificate(Peer{AnySystem: true})
	if _, err, serverErr := connect(t, client, server); err != nil || serverErr != nil {
		t.Fatal(err, serverErr)
	}
	v.SetPolicy(&Policy{Apps: []AppID{}})
	if state, err, serverErr := connect(t, client, server); err != nil || serverErr != nil || !state.DidResume {
		t.Errorf("resumed: %v, %v, %v: the documentation says that it is not judged again", state.DidResume, err, serverErr)
	}
	client.ClientSessionCache = nil
	_, err, _ := connect(t, client, server)
	wantError(t, err, "attested peer: policy: app: refused by policy")
	wantError(t, v.VerifyPeerCertificate(Peer{AnySystem: true})(nil, nil), "attested peer: has no certificate")
	wantError(t, v.VerifyPeerCertificate(Peer{AnySystem: true})([][]byte{{1}}, nil), "attested peer: x509:")
	wantError(t, v.VerifyPeerCertificate(Peer{AnySystem: true})(make([][]byte, 9), nil), "attested peer: shows more than 8 certificates")
}

func TestPeerIsTheOneThatIsWanted(t *testing.T) {
	w := newWorld(t)
	v := w.verifier(t, nil)
	info := wantAccepted(t, v, w.evidence(t, tdxpki.Guest{})).AppInfo
	for name, c := range map[string]struct {
		guest tdxpki.Guest
		peer  Peer
		want  string // empty: accepted
	}{
		"any":                             {},
		"app":                             {peer: Peer{App: info.AppID}},
		"app and instance":                {peer: Peer{App: info.AppID, Instance: info.InstanceID}},
		"with app info":                   {guest: tdxpki.Guest{WithAppInfo: true}},
		"another app":                     {peer: Peer{App: otherApp, AnySystem: true}, want: "attested peer: is app " + info.AppID.String() + ", want " + otherApp.String()},
		"another instance":                {peer: Peer{App: info.AppID, Instance: testInstance}, want: "attested peer: is instance " + info.InstanceID.String() + ", want " + testInstance.String()},
		"no evidence":                     {guest: tdxpki.Guest{Form: tdxpki.FormNone}, want: "attested peer: no attestation provided"},
		"certificate names another app":   {guest: certificate(func(c *tdxpki.Certificate) { c.AppID = otherApp[:] }), want: "attested peer: certificate is of app " + otherApp.String()},
		"certificate names no app":        {guest: certificate(func(c *tdxpki.Certificate) { c.AppID = nil })},
		"app info of another machine":     {guest: certificate(func(c *tdxpki.Certificate) { c.AppID, c.AppInfo = nil, mustMarshal(testInfo()) }), want: "attested peer: app info says app " + testApp.String()},
		"app id of 19 bytes":              {guest: certificate(func(c *tdxpki.Certificate) { c.AppID = make([]byte, 19) }), want: "attested peer: certificate: app id: 19 bytes"},
		"expired":                         {guest: certificate(func(c *tdxpki.Certificate) { c.NotAfter = worldTime().Add(-time.Second) }), want: "attested peer: certificate is valid from 2026-05-31T12:00:00Z to 2026-06-01T11:59:59Z only"},
		"ends now":                        {guest: certificate(func(c *tdxpki.Certificate) { c.NotAfter = worldTime() })},
		"not yet valid":                   {guest: certificate(func(c *tdxpki.Certificate) { c.NotBefore = worldTime().Add(time.Second) }), want: "attested peer: certificate is valid from"},
		"unknown critical extension":      {guest: certificate(func(c *tdxpki.Certificate) { c.Extra = critical() }), want: "attested peer: certificate has an unknown critical extension 1.2.3"},
		"self-signed, roots are required": {peer: Peer{Roots: w.Roots()}, want: "attested peer: x509:"},
	} {
		t.Run(name, func(t *testing.T) {
			leaf := w.Guest(c.guest).Certificate.Leaf
			c.peer.AnySystem = true
			verdict, err := v.AppraisePeer(t.Context(), []*x509.Certificate{leaf}, c.peer)
			if (verdict == nil) == (err == nil) {
				t.Fatalf("%+v with error %v", verdict, err)
			}
			if c.want != "" {
				wantError(t, err, c.want)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
	_, err := v.AppraisePeer(t.Context(), nil, Peer{AnySystem: true})
	wantError(t, err, "attested peer: has no certificate")
	_, err = v.AppraisePeer(t.Context(), make([]*x509.Certificate, 9), Peer{AnySystem: true})
	wantError(t, err, "attested peer: shows more than 8 certificates")
}

func certificate(change func(*tdxpki.Certificate)) tdxpki.Guest {
	return tdxpki.Guest{ChangeCertificate: change}
}

func critical() []pkix.Extension {
	return []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 3}, Critical: true, Value: []byte{5, 0}}}
}

func mustMarshal(a *AppInfo) []byte {
	b, err := a.Marshal()
	if err != nil {
		panic(err)
	}
	return b
}

// The chain that a KMS's machine shows, and what is wrong without it.
func TestRootsMustHaveIssuedThePeer(t *testing.T) {
	w := newWorld(t)
	v := w.verifier(t, nil)
	kms, stranger := newAuthority(t), newAuthority(t)
	ca, key, err := kms.appCA(wantAccepted(t, v, w.evidence(t, tdxpki.Guest{})).AppInfo.AppID)
	if err != nil {
		t.Fatal(err)
	}
	whole := w.Guest(tdxpki.Guest{CA: ca, CAKey: key, Above: []*x509.Certificate{kms.Root()}, WithAppInfo: true}).Certificate
	bare := whole
	bare.Certificate = whole.Certificate[:1]
	selfSigned := w.Guest(tdxpki.Guest{}).Certificate
	for name, c := range map[string]struct {
		shown tls.Certificate
		root  *x509.Certificate
		want  string
	}{
		"whole chain":      {whole, kms.Root(), ""},
		"no chain":         {bare, kms.Root(), "attested peer: x509: certificate signed by unknown authority"},
		"self-signed":      {selfSigned, kms.Root(), "attested peer: x509: certificate signed by unknown authority"},
		"another KMS":      {whole, stranger.Root(), "attested peer: x509: certificate signed by unknown authority"},
		"app CA as a root": {bare, ca, ""},
	} {
		t.Run(name, func(t *testing.T) {
			roots := x509.NewCertPool()
			roots.AddCert(c.root)
			body, err := get(t, v.HTTPClient(Peer{Roots: roots}), site(t, c.shown, hello()))
			if c.want != "" {
				wantError(t, err, c.want)
			} else if err != nil || body != "hello by HTTP/2.0" {
				t.Error(body, err)
			}
		})
	}
}

func TestHTTPClientTalksToAttestedPeersAlone(t *testing.T) {
	w := newWorld(t)
	v := w.verifier(t, nil)
	good := site(t, w.Guest(tdxpki.Guest{}).Certificate, hello())
	if body, err := get(t, v.HTTPClient(Peer{AnySystem: true}), good); err != nil || !strings.HasPrefix(body, "hello") {
		t.Error(body, err)
	}
	asked := false
	spy := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked = true })
	bad := site(t, newWeb(t), spy)
	redirect := func(to string) http.Handler { return http.RedirectHandler(to, http.StatusTemporaryRedirect) }
	for name, c := range map[string]struct{ url, want string }{
		"wrong app":             {good, "attested peer: is app"},
		"no evidence":           {bad, "attested peer: no attestation provided"},
		"plain HTTP":            {strings.Replace(good, "https", "http", 1), "attested peer: http://127.0.0.1"},
		"redirected to HTTP":    {site(t, w.Guest(tdxpki.Guest{}).Certificate, redirect("http://127.0.0.1:1/x")), "attested peer: http://127.0.0.1:1 is not attested: want https"},
		"redirected to anybody": {site(t, w.Guest(tdxpki.Guest{}).Certificate, redirect(bad)), "attested peer: no attestation provided"},
	} {
		t.Run(name, func(t *testing.T) {
			want := Peer{AnySystem: true}
			if name == "wrong app" {
				want.App = otherApp
			}
			_, err := get(t, v.HTTPClient(want), c.url)
			wantError(t, err, c.want)
		})
	}
	if asked {
		t.Error("a request reached a peer without evidence")
	}
}

// newWeb is a certificate of the common kind.
func newWeb(t *testing.T) tls.Certificate {
	t.Helper()
	return issue(t, newAuthority(t), Request{AppID: testApp, Names: []string{"127.0.0.1"}, Server: true})
}

func TestPlainRequestsBodyIsClosed(t *testing.T) {
	body := &closable{Reader: strings.NewReader("secret")}
	c := newWorld(t).verifier(t, nil).HTTPClient(Peer{AnySystem: true})
	answer, err := c.Post("http://127.0.0.1:1/", "text/plain", body)
	if err == nil {
		answer.Body.Close()
	}
	wantError(t, err, "want https")
	if !body.closed || body.Len() != len("secret") {
		t.Errorf("closed: %v, %d bytes left", body.closed, body.Len())
	}
}

type closable struct {
	*strings.Reader
	closed bool
}

func (c *closable) Close() error { c.closed = true; return nil }

func TestPeerThatNobodyCanJudgeIsRefused(t *testing.T) {
	w := newWorld(t)
	w.fail(pccs.ErrUnavailable)
	_, err := get(t, w.verifier(t, nil).HTTPClient(Peer{AnySystem: true}), site(t, w.Guest(tdxpki.Guest{}).Certificate, hello()))
	if !errors.Is(err, pccs.ErrUnavailable) {
		t.Errorf("%v is not %v", err, pccs.ErrUnavailable)
	}
}
