package rpc

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport/internal/vm"
)

// authority signs certificates as the KMS does: the root signs an authority per
// app, all of one name, and that the leaves.
type authority struct {
	cert   *x509.Certificate
	key    *ecdsa.PrivateKey
	issuer *authority
}

func newRoot(t testing.TB) *authority {
	t.Helper()
	return (*authority)(nil).sub(t, "Dstack KMS CA")
}

func (a *authority) sub(t testing.TB, name string) *authority {
	t.Helper()
	c := a.issue(t, &x509.Certificate{
		Subject:  pkix.Name{Organization: []string{"Dstack"}, CommonName: name},
		KeyUsage: x509.KeyUsageCertSign, BasicConstraintsValid: true, IsCA: true,
		NotBefore: time.Unix(0, 0), NotAfter: time.Now().AddDate(100, 0, 0), // the time of synctest's bubbles, too
	})
	return &authority{c.Leaf, c.PrivateKey.(*ecdsa.PrivateKey), a}
}

// guest is a certificate that testIdentify reads app and instance from.
func (a *authority) guest(t testing.TB, app, instance string) tls.Certificate {
	t.Helper()
	return a.issue(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: app + "." + instance}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
}

// server is a certificate for these names and 127.0.0.1, of the gateway's app.
func (a *authority) server(t testing.TB, names ...string) tls.Certificate {
	t.Helper()
	return a.issue(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: "gatewayapp."}, DNSNames: names, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	})
}

// issue signs a certificate, valid for a day unless it says otherwise. The chain
// is as guests send it: the leaf, the app's authority, the root.
func (a *authority) issue(t testing.TB, template *x509.Certificate) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if template.NotAfter.IsZero() {
		template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour)
	}
	template.SerialNumber, _ = rand.Int(rand.Reader, big.NewInt(1<<62))
	template.KeyUsage |= x509.KeyUsageDigitalSignature
	parent, signer := template, key
	if a != nil {
		parent, signer = a.cert, a.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	c := tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	if c.Leaf, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	for up := a; up != nil; up = up.issuer {
		c.Certificate = append(c.Certificate, up.cert.Raw)
	}
	return c
}

func (a *authority) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

func certPEM(ders ...[]byte) []byte {
	var b bytes.Buffer
	for _, der := range ders {
		_ = pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: der})
	}
	return b.Bytes()
}

func keyPEM(t testing.TB, c tls.Certificate) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// writeFiles writes the server's three files.
func writeFiles(t testing.TB, dir string, c tls.Certificate, ca *authority) Files {
	t.Helper()
	f := Files{filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"), filepath.Join(dir, "ca.pem")}
	for name, data := range map[string][]byte{f.Cert: certPEM(c.Certificate...), f.Key: keyPEM(t, c), f.ClientCA: certPEM(ca.cert.Raw)} {
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return f
}

// registrar remembers who came, and answers grant or err.
type registrar struct {
	mu    sync.Mutex
	calls []registered
	err   error
	hook  func()
}

type registered struct {
	Caller
	Registration
}

func (r *registrar) Register(_ context.Context, c Caller, reg Registration) (Grant, error) {
	if r.hook != nil {
		r.hook()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls = append(r.calls, registered{c, reg})
	return Grant{Address: netip.MustParseAddr("10.8.0.7")}, r.err
}

func (r *registrar) last(t testing.TB) registered {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.calls) == 0 {
		t.Fatal("nobody registered")
	}
	return r.calls[len(r.calls)-1]
}

func testIdentify(_ context.Context, state *tls.ConnectionState) (Caller, error) {
	app, instance, _ := strings.Cut(state.PeerCertificates[0].Subject.CommonName, ".")
	return Caller{App: vm.AppID(app), Instance: vm.InstanceID(instance), Compose: vm.ComposeHash{1}}, nil
}

func testAppOf(leaf *x509.Certificate) (vm.AppID, error) {
	app, _, _ := strings.Cut(leaf.Subject.CommonName, ".")
	return vm.AppID(app), nil
}

var gatewayKey = vm.WGKey{31: 9}

func testNodes() []Node {
	return []Node{
		{
			ID: 1, UUID: []byte{0xab, 0xcd}, URL: "https://gw.example:8000", LastSeen: time.Unix(1700000000, 0), Key: gatewayKey,
			Address: netip.MustParsePrefix("10.8.0.1/16"), Endpoint: "203.0.113.7:51820",
		},
		{
			ID: 2, URL: "https://gw2.example:8000", Key: vm.WGKey{31: 8},
			Address: netip.MustParsePrefix("10.8.64.1/16"), Endpoint: "203.0.113.8:51820",
		},
	}
}

// world is a root, a guest of it, and a server that runs until the test ends.
type world struct {
	root, app *authority
	guest     tls.Certificate
	registrar *registrar
	server    *Server
	addr      string
}

func newWorld(t testing.TB, change func(*Options)) *world {
	t.Helper()
	w := &world{root: newRoot(t), registrar: &registrar{}}
	w.app = w.root.sub(t, "Dstack App CA")
	w.guest = w.app.guest(t, "app1", "inst1")
	id, err := OpenIdentity(t.Context(), IdentityOptions{
		Files: writeFiles(t, t.TempDir(), w.root.sub(t, "Dstack App CA").server(t, "gw.example"), w.root),
	})
	if err != nil {
		t.Fatal(err)
	}
	o := Options{
		Identity: id, Identify: testIdentify, Registrar: w.registrar, Nodes: testNodes, AppOf: testAppOf,
		Public: Public{Domain: "gw.example", Port: 443}, Version: "1.2.3", Commit: "0123456789abcdef0123",
	}
	if change != nil {
		change(&o)
	}
	w.server = New(o)
	w.addr = serve(t, w.server)
	return w
}

// serve runs s until the test ends.
func serve(t testing.TB, s *Server) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx, l) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return l.Addr().String()
}

func mustAddr(s string) netip.Addr { return netip.MustParseAddr(s) }
