package acme

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"slices"
	"testing"

	"github.com/mholt/acmez/v3"
	"github.com/mholt/acmez/v3/acme"

	"sallyport/internal/gwtest"
	"sallyport/internal/gwtest/pebble"
)

// gate is a TLS listener as the gateway's: it answers acme-tls/1 for a name whose
// validation is under way, and for no other.
func gate(t *testing.T, challenges *ALPNChallenges) (port int, addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	cert := gwtest.NewCA(t).Server(t, "*.test")
	config := &tls.Config{
		Certificates: []tls.Certificate{cert},
		GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			if !slices.Equal(hello.SupportedProtos, []string{acmez.ACMETLS1Protocol}) {
				return nil, nil
			}
			if c, ok := challenges.Certificate(hello.ServerName); ok {
				return ALPNConfig(c), nil
			}
			return nil, errors.New("no challenge of this name is under way")
		},
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_ = tls.Server(conn, config).HandshakeContext(context.Background()) // the client tells
			conn.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-ended })
	return l.Addr().(*net.TCPAddr).Port, l.Addr().String()
}

func TestApexIsObtainedByTLSALPN(t *testing.T) {
	t.Parallel()
	challenges := &ALPNChallenges{}
	port, addr := gate(t, challenges)
	w := newWorld(t, pebble.Options{TLSPort: port}, Domain{Name: "alpn.test", ApexOnly: true})
	w.opts.DNS01, w.opts.TLSALPN01 = nil, challenges
	run(t, w.opts)
	if c := w.told.next(t); c.Leaf.DNSNames[0] != "alpn.test" {
		t.Errorf("certificate is for %q", c.Leaf.DNSNames)
	}
	if _, ok := challenges.Certificate("alpn.test"); ok {
		t.Error("the challenge is still answered")
	}
	_, err := tls.Dial("tcp", addr, &tls.Config{ServerName: "alpn.test", NextProtos: []string{acmez.ACMETLS1Protocol}, InsecureSkipVerify: true})
	if err == nil {
		t.Error("acme-tls/1 is answered without a challenge")
	}
}

func TestWildcardNeedsDNS(t *testing.T) {
	o := Options{
		CA: Authority{Directory: "https://ca.test/dir"}, Store: newFileStore(t), TLSALPN01: &ALPNChallenges{},
		OnCertificate: func(string, []string, *tls.Certificate) {}, Domains: []Domain{{Name: "w.test"}},
	}
	if _, err := New(o); err == nil {
		t.Error("a wildcard was taken without dns-01")
	}
	o.Domains[0].ApexOnly = true
	if _, err := New(o); err != nil {
		t.Error(err)
	}
}

// An event loop asks for each hello that offers acme-tls/1, and strangers send as many
// as they like.
func TestChallengeIsToldWithoutALock(t *testing.T) {
	var a ALPNChallenges
	challenge := acme.Challenge{Type: "tls-alpn-01", KeyAuthorization: "token.key", Identifier: acme.Identifier{Type: "dns", Value: "A.test"}}
	if err := a.Present(t.Context(), challenge); err != nil {
		t.Fatal(err)
	}
	a.mu.Lock() // or what follows waits for ever
	_, ok := a.Certificate("a.test")
	a.mu.Unlock()
	if !ok {
		t.Error("the challenge is not answered")
	}
	if err := a.CleanUp(t.Context(), challenge); err != nil {
		t.Fatal(err)
	}
	if _, ok := a.Certificate("a.test"); ok {
		t.Error("the challenge is still answered")
	}
}
