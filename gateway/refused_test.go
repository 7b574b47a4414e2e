package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"sallyport/config"
	"sallyport/gateway/route"
	"sallyport/health"
	"sallyport/internal/gwtest"
	"sallyport/internal/selfdial"
	"sallyport/internal/vm"
	"sallyport/registry"
	"sallyport/registry/store"
	"sallyport/relay"
)

// refusable is a gateway without tunnel whose one registered instance, on a loopback
// address, echoes over TLS, and is in policy until outdated.
type refusable struct {
	*Gateway
	port     int
	outdated atomic.Bool
}

func newRefusable(t *testing.T) *refusable {
	t.Helper()
	g := &refusable{Gateway: &Gateway{
		log: slog.New(slog.DiscardHandler),
	}}
	g.health = health.New(health.Options{
		OnGone: func(inst *vm.Instance, _ health.Gone) { g.relay.CloseBackend(inst.Live) }, Log: g.log,
	})
	var err error
	if g.store, err = store.OpenBolt(filepath.Join(t.TempDir(), "registry.db")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { g.store.Close() })
	g.registry, err = registry.Open(t.Context(), registry.Options{
		Store: g.store, Publisher: g.health, Log: g.log,
		Network: netip.MustParsePrefix("127.8.0.1/16"), Pool: netip.MustParsePrefix("127.8.0.0/24"),
		Appraise: func(context.Context, vm.InstanceID, vm.AppID, []byte) error {
			if g.outdated.Load() {
				return errors.New("TCB status OutOfDate")
			}
			return nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	g.routes = route.New(route.Options{
		Domains: []config.Domain{{Name: "gw.test"}}, Snapshot: g.health.Snapshot, Listeners: selfdial.New(netip.Prefix{}),
	})
	second := time.Second
	g.relay, err = relay.New(relay.Options{
		Listen: []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:0")}, Loops: 1, Log: g.log,
		Route:    g.routes.Decide,
		Timeouts: relay.Timeouts{Hello: second, Handshake: second, Connect: second, Hedge: second, Drain: second},
	})
	if err != nil {
		t.Fatal(err)
	}
	if g.clients, err = g.relay.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var parts errgroup.Group
	parts.Go(func() error { return g.relay.Run(ctx) })
	parts.Go(func() error { return g.registry.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		if err := parts.Wait(); err != nil {
			t.Error(err)
		}
	})
	return g
}

// serve echoes at the instance's address.
func (g *refusable) serve(t *testing.T, at netip.Addr) {
	t.Helper()
	pair := gwtest.NewCA(t).Server(t, "app")
	l, err := tls.Listen("tcp", net.JoinHostPort(at.String(), "0"), &tls.Config{Certificates: []tls.Certificate{pair}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	g.port = l.Addr().(*net.TCPAddr).Port
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_, _ = io.Copy(c, c)
			}()
		}
	}()
}

// connect opens a connection to the instance, and uses it.
func (g *refusable) connect() (net.Conn, error) {
	c, err := tls.Dial("tcp", g.clients[0].String(), &tls.Config{
		ServerName: fmt.Sprintf("app-%ds.gw.test", g.port), InsecureSkipVerify: true,
	})
	if err != nil {
		return nil, err
	}
	return c, echoes(c)
}

func echoes(c net.Conn) error {
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return err
	}
	if _, err := c.Write([]byte("x")); err != nil {
		return err
	}
	_, err := io.ReadFull(c, make([]byte, 1))
	return err
}

func TestRefusedInstanceIsDrainedAndShown(t *testing.T) {
	g := newRefusable(t)
	open := vm.OpenPolicy()
	q := registry.Request{App: "app", Instance: "one", Key: vm.WGKey{1}, Policy: &open, Evidence: []byte("evidence")}
	grant, err := g.registry.Register(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	g.serve(t, grant.Spec.Addr)
	c, err := g.connect()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()

	g.outdated.Store(true)
	g.registry.Reattest("policy changed")
	if _, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("its connection lives: %v", err)
	}
	if _, err := g.connect(); err == nil || !strings.Contains(err.Error(), "internal error") {
		t.Errorf("a new connection: %v", err)
	}
	if st := instances(g.health, g.registry); len(st) != 1 || st[0].Health != "refused" || st[0].Weight != 0 || st[0].Reason != "attestation: TCB status OutOfDate" {
		t.Errorf("status says %+v", st)
	}
	g.outdated.Store(false)
	if _, err := g.registry.Register(t.Context(), q); err != nil {
		t.Fatal(err)
	}
	again, err := g.connect()
	if err != nil {
		t.Fatalf("accepted again: %v", err)
	}
	again.Close()
}
