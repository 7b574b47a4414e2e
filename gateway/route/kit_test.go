package route

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"testing"
	"time"

	"sallyport/certs"
	"sallyport/config"
	"sallyport/internal/gwtest"
	"sallyport/internal/selfdial"
	"sallyport/internal/vm"
	"sallyport/relay"
)

// prover stands for attestation: it issues certificates that name an app and an
// instance, and judges them.
type prover struct{ *gwtest.CA }

// identity is the TLS of an instance.
func (p prover) identity(t *testing.T, app, instance string) *tls.Config {
	t.Helper()
	return &tls.Config{Certificates: []tls.Certificate{p.Client(t, app+"/"+instance)}}
}

// judge is an InstanceTLS.
func (p prover) judge(_ context.Context, app vm.AppID, instance vm.InstanceID) *tls.Config {
	return &tls.Config{InsecureSkipVerify: true, VerifyConnection: func(s tls.ConnectionState) error {
		leaf := s.PeerCertificates[0]
		if _, err := leaf.Verify(x509.VerifyOptions{Roots: p.Pool(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}); err != nil {
			return err
		}
		if leaf.Subject.CommonName != string(app)+"/"+string(instance) {
			return errors.New("another instance: " + leaf.Subject.CommonName)
		}
		return nil
	}}
}

// instance is an app's instance at an address of its own.
type instance struct{ app, id, addr string }

// site is a relay whose decisions are those of a Decider, for the domain gw.test.
type site struct {
	prover
	decider *Decider
	roots   *x509.CertPool
	clients string // address for clients
}

// newSite serves until the test ends; list is the apps of upstream_ratls.
func newSite(t *testing.T, list config.AppSet, instances ...instance) *site {
	t.Helper()
	web := gwtest.NewCA(t)
	s := &site{prover: prover{gwtest.NewCA(t)}, roots: web.Pool()}
	cert, key := gwtest.WritePEM(t, t.TempDir(), "web", web.Server(t, "*.gw.test"))
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	index, err := certs.Open([]certs.Source{{Domain: "gw.test", CertFile: cert, KeyFile: key}}, certs.Options{Log: log})
	if err != nil {
		t.Fatal(err)
	}
	snapshot := snapshotOf(instances...)
	s.decider = New(Options{
		Domains: []config.Domain{{Name: "gw.test", Wildcard: true}}, Snapshot: func() *vm.Snapshot { return snapshot },
		Certificates: index, Listeners: selfdial.New(netip.Prefix{}), Site: NewSite(4), InstanceTLS: s.judge,
	})
	if err := s.decider.SetUpstreams(list); err != nil {
		t.Fatal(err)
	}
	s.serve(t, log)
	return s
}

// serve relays connections until the test ends.
func (s *site) serve(t *testing.T, log *slog.Logger) {
	t.Helper()
	const patience = 5 * time.Second
	engine, err := relay.New(relay.Options{
		Listen: []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:0")}, Loops: 1, Route: s.decider.Decide, Log: log,
		Timeouts: relay.Timeouts{Hello: patience, Handshake: patience, Connect: patience, Hedge: patience, Idle: time.Minute, Drain: patience},
	})
	if err != nil {
		t.Fatal(err)
	}
	addrs, err := engine.Listen()
	if err != nil {
		t.Fatal(err)
	}
	s.clients = addrs[0].String()
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- engine.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		engine.Abort()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// snapshotOf has these instances, which serve.
func snapshotOf(instances ...instance) *vm.Snapshot {
	b := vm.NewBuilder(0)
	for _, i := range instances {
		b.Put(&vm.Instance{Live: new(vm.Live), Weight: 1, Health: vm.Fresh, Spec: vm.Spec{
			App: vm.AppID(i.app), ID: vm.InstanceID(i.id), Addr: netip.MustParseAddr(i.addr), Policy: vm.OpenPolicy(),
		}})
	}
	return b.Snapshot()
}

// get returns what a client gets from a name below the domain.
func (s *site) get(name string) (string, error) { return s.offering(name) }

// offering is get for a client that offers protocols.
func (s *site) offering(name string, protocols ...string) (string, error) {
	return s.fetch(name+".gw.test", s.roots, protocols...)
}

// fetch returns what a client that trusts roots, and offers protocols, gets from a name.
func (s *site) fetch(name string, roots *x509.CertPool, protocols ...string) (string, error) {
	client := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{
		ForceAttemptHTTP2: slices.Contains(protocols, "h2"),
		DialTLSContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			d := tls.Dialer{Config: &tls.Config{RootCAs: roots, ServerName: name, NextProtos: protocols}}
			return d.DialContext(ctx, "tcp", s.clients)
		},
	}}
	defer client.CloseIdleConnections()
	resp, err := client.Get("https://" + name + "/")
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return string(b), err
}
