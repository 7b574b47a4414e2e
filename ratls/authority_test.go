package ratls

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// handshake has a guest call a server, each trusting the authority alone, and
// returns what the server knows of the guest.
func handshake(t *testing.T, a *Authority, server, client tls.Certificate) tls.ConnectionState {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AddCert(a.Root())
	near, far := net.Pipe()
	defer near.Close()
	called := make(chan error, 1)
	go func() {
		defer far.Close()
		c := tls.Client(far, &tls.Config{Certificates: []tls.Certificate{client}, RootCAs: roots, ServerName: server.Leaf.DNSNames[0]})
		called <- c.Handshake()
	}()
	s := tls.Server(near, &tls.Config{
		Certificates: []tls.Certificate{server}, ClientAuth: tls.VerifyClientCertIfGiven, ClientCAs: roots,
		SessionTicketsDisabled: true,
	})
	err := s.Handshake()
	near.Close()
	if callErr := <-called; err != nil || callErr != nil {
		t.Fatalf("server: %v, client: %v", err, callErr)
	}
	return s.ConnectionState()
}

func TestCertificatesAreLikeThoseOfAKMS(t *testing.T) {
	a := newAuthority(t)
	chain := verified(t, a, issue(t, a, guest()))
	leaf, ca, root := chain[0], chain[1], chain[2]
	for _, c := range []struct {
		what      string
		got, want any
	}{
		{"root's name", root.Subject.String(), "CN=Dstack KMS CA,O=Dstack"},
		{"app CA's name", ca.Subject.String(), "CN=Dstack App CA,O=Dstack"},
		{"leaf's name", leaf.Subject.String(), "CN=dstack-guest-agent"},
		{"root's path", root.IsCA && root.MaxPathLen == 1, true},
		{"app CA's path", ca.IsCA && ca.MaxPathLen == 0 && ca.MaxPathLenZero, true},
		{"leaf is no CA", leaf.IsCA, false},
		{"leaf's use", leaf.KeyUsage, x509.KeyUsageDigitalSignature},
		{"leaf's extended use", leaf.ExtKeyUsage, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}},
		{"begin", slices.MinFunc(chain, func(a, b *x509.Certificate) int { return b.NotBefore.Compare(a.NotBefore) }).NotBefore, birth()},
		{"leaf ends with the root", leaf.NotAfter, root.NotAfter},
		{"key identifiers", len(root.SubjectKeyId) > 0 && len(ca.AuthorityKeyId)+len(leaf.AuthorityKeyId) == 0, true},
		{"curve", leaf.PublicKey.(*ecdsa.PublicKey).Curve, elliptic.P256()},
	} {
		if !reflect.DeepEqual(c.got, c.want) {
			t.Errorf("%s: %v, want %v", c.what, c.got, c.want)
		}
	}
}

// The root of dstack's own simulator is the model of ours.
func TestRootIsFormedLikeARealOne(t *testing.T) {
	b, _ := pem.Decode(fixture(t, "dstack/simulator-kms-ca.pem"))
	real, err := x509.ParseCertificate(b.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	ours := newAuthority(t).Root()
	form := func(c *x509.Certificate) []any {
		critical := map[string]bool{}
		for _, x := range c.Extensions {
			critical[x.Id.String()] = x.Critical
		}
		return []any{c.Subject.String(), c.Issuer.String(), c.NotBefore, c.SignatureAlgorithm, c.KeyUsage, c.IsCA, c.MaxPathLen, critical}
	}
	if got, want := form(ours), form(real); !reflect.DeepEqual(got, want) {
		t.Errorf("%v\nwant %v", got, want)
	}
}

func TestServerIsKnownByItsNames(t *testing.T) {
	a := newAuthority(t)
	c := issue(t, a, Request{AppID: testApp, Subject: "dstack-gateway", Names: []string{"gw.example.com", "203.0.113.7", "2001:db8::1"}, Server: true})
	for _, name := range []string{"gw.example.com", "203.0.113.7", "2001:db8::1"} {
		if err := c.Leaf.VerifyHostname(name); err != nil {
			t.Error(err)
		}
	}
	e, err := ParseExtensions(c.Leaf.Extensions)
	if want := (Extensions{AppID: testApp, Usage: UsageApp}); err != nil || !reflect.DeepEqual(e, want) {
		t.Errorf("%+v, %v, want %+v", e, err, want)
	}
	if !slices.Equal(c.Leaf.ExtKeyUsage, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}) {
		t.Errorf("extended key usage %v, want that of a server", c.Leaf.ExtKeyUsage)
	}
}

func TestBadRequestIsRefused(t *testing.T) {
	a := newAuthority(t)
	wide := guest()
	wide.AppInfo.InitScriptHashes = make([]Hash, 6)
	for _, c := range []struct {
		want    string
		request Request
	}{
		{"no app id", Request{Client: true}},
		{"app info: init_script_hashes", wide},
	} {
		got, err := a.Issue(c.request)
		if got.Certificate != nil {
			t.Errorf("issued %v", got.Leaf.Subject)
		}
		wantError(t, err, "issue certificate: "+c.want)
	}
}

func TestNameThatNoGuestCouldMatchIsRefused(t *testing.T) {
	a := newAuthority(t)
	for _, name := range []string{
		"", ".", "https://gw.example.com", "gw.example.com:8000", "*.example.com", "gw_1.example.com", "gw.example.com.",
		"-gw.example.com", "gw-.example.com", "gẃ.example.com", "[2001:db8::1]", strings.Repeat("a", 64), strings.Repeat("a.", 126) + "aa",
	} {
		got, err := a.Issue(Request{AppID: testApp, Server: true, Names: []string{name}})
		if got.Certificate != nil {
			t.Errorf("issued for %q", name)
		}
		wantError(t, err, "is neither a host name nor an IP address")
	}
}

func TestEndedAuthorityIssuesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAuthority(t)
		time.Sleep(time.Until(a.Root().NotAfter) + time.Second) //nolint:forbidigo // the bubble's clock
		_, err := a.Issue(guest())
		wantError(t, err, "the authority expired on 2010-01-01")
	})
}

func TestValidityAndKeyAreAsAsked(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	r := guest()
	r.Key, r.NotAfter = key, time.Now().Add(240*time.Hour).Truncate(time.Second)
	c := issue(t, newAuthority(t), r)
	if !c.Leaf.NotAfter.Equal(r.NotAfter) || !key.PublicKey.Equal(c.Leaf.PublicKey) || c.PrivateKey != key {
		t.Errorf("until %v with key %v, want %v and the given key", c.Leaf.NotAfter, c.Leaf.PublicKey, r.NotAfter)
	}
}

func TestAppCAsDifferByAppAlone(t *testing.T) {
	a := newAuthority(t)
	key := func(a *Authority, app AppID) any {
		c := issue(t, a, Request{AppID: app})
		ca, err := x509.ParseCertificate(c.Certificate[1])
		if err != nil {
			t.Fatal(err)
		}
		return ca.PublicKey
	}
	same := key(a, testApp).(*ecdsa.PublicKey)
	if !same.Equal(key(a, testApp)) || same.Equal(key(a, otherApp)) || same.Equal(key(newAuthority(t), testApp)) {
		t.Error("an app CA's key must follow from the root and the app, and from nothing else")
	}
}

func TestAuthoritySurvivesItsFiles(t *testing.T) {
	a := newAuthority(t)
	root, key, err := a.EncodePEM()
	if err != nil {
		t.Fatal(err)
	}
	again, err := ParseAuthority(root, key)
	if err != nil {
		t.Fatal(err)
	}
	verified(t, a, issue(t, again, guest()))
}

func TestBadAuthorityFilesAreRefused(t *testing.T) {
	a := newAuthority(t)
	root, key, err := a.EncodePEM()
	if err != nil {
		t.Fatal(err)
	}
	_, otherKey, _ := newAuthority(t).EncodePEM()
	leafCert, leafKey, _ := EncodePEM(issue(t, a, guest()))
	leafOnly, _, _ := bytes.Cut(leafCert, []byte("-----END CERTIFICATE-----\n"))
	leafOnly = append(leafOnly, "-----END CERTIFICATE-----\n"...)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	rsaDER, err := x509.MarshalPKCS8PrivateKey(rsaKey)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		why       string
		root, key []byte
		want      string
	}{
		{"nothing", nil, key, `authority's certificate: want one PEM block "CERTIFICATE"`},
		{"chain", leafCert, key, `authority's certificate: want one PEM block "CERTIFICATE"`},
		{"bad certificate", block(pemCertificate, []byte{0x30}), key, "authority's certificate: x509: malformed certificate"},
		{"leaf", leafOnly, leafKey, "authority's certificate: is not one of a CA"},
		{"files swapped", key, root, `authority's certificate: want one PEM block "CERTIFICATE"`},
		{"no key", root, root, `authority's key: want one PEM block "PRIVATE KEY"`},
		{"bad key", root, block(pemKey, []byte{0x30}), "authority's key: is not PKCS#8"},
		{"RSA key", root, block(pemKey, rsaDER), "authority's key: is not of the curve P-256"},
		{"key of another", root, otherKey, "authority's key: is not that of its certificate"},
	} {
		t.Run(c.why, func(t *testing.T) {
			got, err := ParseAuthority(c.root, c.key)
			if got != nil {
				t.Error("read an authority")
			}
			wantError(t, err, c.want)
		})
	}
}

// Another implementation reads and verifies the chain, in the order in which
// guests send it, for the purpose it is for and no other. (Not with
// -x509_strict: that demands the key identifiers which a KMS leaves out.)
func TestOpenSSLVerifiesTheChain(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skipf("the openssl command is missing: %v", err)
	}
	a, dir := newAuthority(t), t.TempDir()
	root, _, err := a.EncodePEM()
	if err != nil {
		t.Fatal(err)
	}
	chain, key, err := EncodePEM(issue(t, a, guest()))
	if err != nil {
		t.Fatal(err)
	}
	rootFile, chainFile, keyFile := filepath.Join(dir, "root"), filepath.Join(dir, "chain"), filepath.Join(dir, "key")
	for file, data := range map[string][]byte{rootFile: root, chainFile: chain, keyFile: key} {
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	verify := func(purpose string) ([]byte, error) {
		return exec.CommandContext(t.Context(), openssl, "verify", "-purpose", purpose, "-CAfile", rootFile, "-untrusted", chainFile, chainFile).CombinedOutput()
	}
	if out, err := verify("sslclient"); err != nil {
		t.Errorf("openssl verify: %v\n%s", err, out)
	}
	if out, err := verify("sslserver"); err == nil {
		t.Errorf("a machine's certificate serves as a server's: %s", out)
	}
	if out, err := exec.CommandContext(t.Context(), openssl, "pkey", "-in", keyFile, "-check", "-noout").CombinedOutput(); err != nil {
		t.Errorf("openssl pkey: %v\n%s", err, out)
	}
}
