package relay

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
	"net"
	"net/netip"
	"testing"
	"time"
)

// apps issues certificates that name an app, and judges them.
type apps struct {
	t    *testing.T
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
}

func newApps(t *testing.T) *apps {
	t.Helper()
	a := &apps{t: t}
	a.key, a.cert = a.sign("the apps' root", time.Now().Add(time.Hour), nil)
	return a
}

// sign makes a certificate; without an issuer it signs itself.
func (a *apps) sign(name string, until time.Time, issuer *apps) (*ecdsa.PrivateKey, *x509.Certificate) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: until, IsCA: issuer == nil, BasicConstraintsValid: true,
	}
	parent, signer := template, key
	if issuer != nil {
		parent, signer = issuer.cert, issuer.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		a.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return key, cert
}

// instance is the TLS of an app's instance.
func (a *apps) instance(name string, until time.Time) *tls.Config {
	key, cert := a.sign(name, until, a)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{cert.Raw}, PrivateKey: key}}}
}

// good is the TLS of an instance of the app that the tests want.
func (a *apps) good() *tls.Config { return a.instance("app", time.Now().Add(time.Hour)) }

// judge accepts instances of the app "app" alone.
func (a *apps) judge(context.Context) *tls.Config {
	return &tls.Config{ServerName: "tls.test", InsecureSkipVerify: true, VerifyConnection: func(s tls.ConnectionState) error {
		roots := x509.NewCertPool()
		roots.AddCert(a.cert)
		leaf := s.PeerCertificates[0]
		if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}); err != nil {
			return err
		}
		if leaf.Subject.CommonName != "app" {
			return errors.New("it is of the app " + leaf.Subject.CommonName)
		}
		return nil
	}}
}

// toTLS makes addresses the candidates, whose TLS a judges.
func (g *gateway) toTLS(a *apps, addrs ...netip.AddrPort) *gateway {
	var list []Backend
	for _, addr := range addrs {
		list = append(list, Backend{Addr: addr, Name: addr.String(), TLS: a.judge, Watch: &watcher{}})
	}
	g.backends.Store(&list)
	return g
}

// watched is the watcher of candidate i.
func (g *gateway) watched(i int) *watcher { return (*g.backends.Load())[i].Watch.(*watcher) }

// serveTLS is serve for a backend that speaks TLS; f gets the connections whose
// handshake went well.
func serveTLS(t *testing.T, conf *tls.Config, f func(c *tls.Conn)) netip.AddrPort {
	return serve(t, func(raw *net.TCPConn) {
		c := tls.Server(raw, conf)
		if c.Handshake() == nil {
			f(c)
		}
	})
}

func echoTLS(c *tls.Conn) {
	_, _ = io.Copy(c, c)
	_ = c.CloseWrite()
}

// hidden is a connection of which the engine cannot know that it is a socket, as
// those of a network stack in user space are none.
type hidden struct{ *net.TCPConn }

// inUserSpace has the engine dial without the kernel's route.
func inUserSpace(_ *gateway, o *Options) {
	o.Dial = func(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
		var d net.Dialer
		c, err := d.DialContext(ctx, "tcp", to.String())
		if err != nil {
			return nil, err
		}
		return hidden{c.(*net.TCPConn)}, nil
	}
}
