package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport/config"
)

const (
	one, two = "127.0.0.2", "127.0.0.3"
	shop     = "aaaa"
)

var shopOne, shopTwo = host{shop, "aa01", one}, host{shop, "aa02", two}

// offering is get for a client that offers protocols.
func (s *upstreamSite) offering(name string, protocols ...string) (string, error) {
	client := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{
		ForceAttemptHTTP2: slices.Contains(protocols, "h2"),
		DialTLSContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			d := tls.Dialer{Config: &tls.Config{RootCAs: s.roots, ServerName: name + ".gw.test", NextProtos: protocols}}
			return d.DialContext(ctx, "tcp", s.clients)
		},
	}}
	defer client.CloseIdleConnections()
	resp, err := client.Get("https://" + name + ".gw.test/")
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return string(b), err
}

func TestListedAppIsReachedOverAttestedTLS(t *testing.T) {
	s := newUpstreamSite(t, `["aaaa"]`, shopOne, host{"bbbb", "bb01", two})
	listeners, port := listen(t, one, two)
	serveWeb(t, listeners[0], s.identity(t, shop, "aa01"))
	serveWeb(t, listeners[1], nil)
	for _, test := range []struct {
		name   string
		offers []string
		want   string // protocol, ALPN and server name that the instance sees
	}{
		{"aaaa-" + port, nil, "HTTP/1.1  aaaa-" + port + ".gw.test"},
		{"aaaa-" + port, []string{"http/1.1"}, "HTTP/1.1 http/1.1 aaaa-" + port + ".gw.test"},
		{"aaaa-" + port + "g", []string{"h2"}, "HTTP/2.0 h2 aaaa-" + port + "g.gw.test"},
		{"aa01-" + port, nil, "HTTP/1.1  aa01-" + port + ".gw.test"}, // by its instance id
		{"bbbb-" + port, nil, "plain"},                               // not listed
	} {
		if got, err := s.offering(test.name, test.offers...); got != test.want {
			t.Errorf("%s offering %q: %q, %v; want %q", test.name, test.offers, got, err, test.want)
		}
	}
}

func TestTenMegabytesEachWayThroughAttestedTLS(t *testing.T) {
	s := newUpstreamSite(t, `["*"]`, shopOne)
	listeners, port := listen(t, one)
	sent := make([]byte, 10<<20)
	_, _ = rand.NewChaCha8([32]byte{}).Read(sent)
	id := s.identity(t, shop, "aa01")
	go func() {
		raw, err := listeners[0].Accept()
		if err != nil {
			return
		}
		defer raw.Close()
		c := tls.Server(raw, id)
		b, _ := io.ReadAll(c)
		_, _ = c.Write(b)
		_ = c.CloseWrite()
	}()
	c, err := tls.Dial("tcp", s.clients, &tls.Config{RootCAs: s.roots, ServerName: "aaaa-" + port + ".gw.test"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write(sent); err != nil {
		t.Fatal(err)
	}
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(c); err != nil || !bytes.Equal(b, sent) {
		t.Errorf("%d bytes, %v", len(b), err)
	}
}

func TestInstanceOfAnotherIdentityIsRefused(t *testing.T) {
	s := newUpstreamSite(t, `["aaaa"]`, shopOne)
	for name, conf := range map[string]*tls.Config{
		"another app":      s.identity(t, "bbbb", "aa01"),
		"another instance": s.identity(t, shop, "aa02"),
		"plain HTTP":       nil,
	} {
		listeners, port := listen(t, one)
		serveWeb(t, listeners[0], conf)
		if got, err := s.get("aaaa-" + port); err == nil || !strings.Contains(err.Error(), "internal error") {
			t.Errorf("%s: %q, %v; want the alert internal_error", name, got, err)
		}
	}
}

func TestOtherInstanceServesWhereOneIsNotTheApp(t *testing.T) {
	s := newUpstreamSite(t, `["aaaa"]`, shopOne, shopTwo)
	listeners, port := listen(t, one, two)
	serveWeb(t, listeners[0], s.identity(t, "bbbb", "bb01"))
	serveWeb(t, listeners[1], s.identity(t, shop, "aa02"))
	for range 8 {
		if got, err := s.get("aaaa-" + port); err != nil {
			t.Errorf("%q, %v", got, err)
		}
	}
	if _, err := s.get("aa01-" + port); err == nil {
		t.Error("another instance stood in for the one that was asked for by its id")
	}
}

func TestPassedThroughNameIsNotTouched(t *testing.T) {
	s := newUpstreamSite(t, `["*"]`, shopOne)
	listeners, port := listen(t, one)
	own, err := newDemoCA() // of the app's owner, whom no judge knows
	if err != nil {
		t.Fatal(err)
	}
	name := "aaaa-" + port + "s.gw.test"
	cert, key, err := own.pair(name)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	serveWeb(t, listeners[0], &tls.Config{Certificates: []tls.Certificate{pair}})
	roots := x509.NewCertPool()
	roots.AddCert(own.cert)
	if got, err := s.fetch(name, roots); err != nil || got == "plain" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestReloadChangesWhichAppsAreEncryptedAgain(t *testing.T) {
	s := newUpstreamSite(t, `[]`, shopOne)
	listeners, port := listen(t, one)
	serveWeb(t, listeners[0], nil)
	if got, err := s.get("aaaa-" + port); got != "plain" {
		t.Fatalf("%q, %v", got, err)
	}
	for _, step := range []struct {
		list  string
		plain bool
	}{{`["aaaa"]`, false}, {`["a problem", 1]`, false}, {`["bbbb"]`, true}, {`["*"]`, false}} {
		s.configure(step.list, shopOne)
		s.g.reloadConfig(s.file)
		if got, err := s.get("aaaa-" + port); (err == nil) != step.plain {
			t.Errorf("%s: %q, %v", step.list, got, err)
		}
	}
}

func TestListWithoutAVerifierIsRefused(t *testing.T) {
	var u upstreams
	if err := u.set(config.AppSet{All: true}, config.Attestation{}); !errors.Is(err, errNoVerifier) {
		t.Error(err)
	}
	if err := u.set(config.AppSet{}, config.Attestation{}); err != nil {
		t.Error(err)
	}
}
