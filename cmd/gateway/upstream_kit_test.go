package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"sallyport/config"
	"sallyport/internal/vm"
)

// prover stands for attestation: it issues certificates that name an app and an
// instance, and judges them.
type prover struct{ *demoCA }

// identity is the TLS of an instance.
func (p prover) identity(t *testing.T, app, instance string) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: app + "/" + instance},
		NotBefore: p.cert.NotBefore, NotAfter: p.cert.NotAfter,
	}, p.cert, key.Public(), p.key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
}

// judge is an attestedTLS.
func (p prover) judge(_ context.Context, app vm.AppID, instance vm.InstanceID) *tls.Config {
	return &tls.Config{InsecureSkipVerify: true, VerifyConnection: func(s tls.ConnectionState) error {
		leaf := s.PeerCertificates[0]
		if err := leaf.CheckSignatureFrom(p.cert); err != nil {
			return err
		}
		if leaf.Subject.CommonName != string(app)+"/"+string(instance) {
			return errors.New("another instance: " + leaf.Subject.CommonName)
		}
		return nil
	}}
}

// upstreamSite is a gateway in this process, without a tunnel, and its apps on
// loopback addresses.
type upstreamSite struct {
	*site
	prover
	file string
	g    *gateway
}

// host is an app's instance: a server on an address of its own.
type host struct {
	app, instance, addr string
}

// newUpstreamSite runs a gateway; list is its upstream_ratls.
func newUpstreamSite(t *testing.T, list string, hosts ...host) *upstreamSite {
	t.Helper()
	ca, err := newDemoCA()
	if err != nil {
		t.Fatal(err)
	}
	web, err := newDemoCA()
	if err != nil {
		t.Fatal(err)
	}
	s := &upstreamSite{site: &site{t: t, dir: t.TempDir(), roots: x509.NewCertPool()}, prover: prover{ca}}
	s.file = s.path("gateway.toml")
	s.roots.AddCert(web.cert)
	if err := web.issue(s.path("web.pem"), s.path("web.key"), "*.gw.test"); err != nil {
		t.Fatal(err)
	}
	s.configure(list, hosts...)
	cfg, err := config.Load(s.file)
	if err != nil {
		t.Fatal(err)
	}
	s.g = &gateway{cfg: cfg, log: slog.New(slog.NewTextHandler(t.Output(), nil)), started: time.Now(), site: newOwnSite()}
	s.g.upstream.attested = s.judge
	if err := s.g.open(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.clients = s.g.addrs[0].String()
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.g.serve(ctx) }()
	t.Cleanup(func() {
		stop()
		s.g.relay.Abort()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return s
}

// configure writes the file.
func (s *upstreamSite) configure(list string, hosts ...host) {
	s.t.Helper()
	text := fmt.Sprintf("[[domain]]\nname = \"gw.test\"\ncert = \"web.pem\"\nkey = \"web.key\"\n[proxy]\nlisten = [\"127.0.0.1:0\"]\n"+
		"upstream_ratls = %s\n[wireguard]\nmode = \"none\"\n[store]\npath = \"store\"\n[admin]\nlisten = \"off\"\n", list)
	for _, h := range hosts {
		text += fmt.Sprintf("[[instance]]\napp_id = %q\ninstance_id = %q\naddress = %q\n", h.app, h.instance, h.addr)
	}
	if err := os.WriteFile(filepath.Clean(s.file), []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// listen opens a port, the same on each of the addresses, and returns it.
func listen(t *testing.T, addrs ...string) (listeners []net.Listener, port string) {
	t.Helper()
	port = "0"
	for _, a := range addrs {
		l, err := net.Listen("tcp", net.JoinHostPort(a, port))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		listeners = append(listeners, l)
		_, port, _ = net.SplitHostPort(l.Addr().String())
	}
	return listeners, port
}

// serveWeb says which protocol, name and path it was asked with; conf nil is plain
// HTTP.
func serveWeb(t *testing.T, l net.Listener, conf *tls.Config) {
	t.Helper()
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.TLS == nil {
			fmt.Fprint(w, "plain")
			return
		}
		fmt.Fprintf(w, "%s %s %s", r.Proto, r.TLS.NegotiatedProtocol, r.TLS.ServerName)
	}))
	srv.Listener.Close()
	srv.Listener = l
	srv.Config.ErrorLog = slog.NewLogLogger(slog.NewTextHandler(t.Output(), nil), slog.LevelDebug)
	if conf == nil {
		srv.Start()
	} else {
		conf.NextProtos = []string{"h2", "http/1.1"}
		srv.EnableHTTP2, srv.TLS = true, conf
		srv.StartTLS()
	}
	t.Cleanup(srv.Close)
}
