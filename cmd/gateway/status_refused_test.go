package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"sallyport/admin"
	"sallyport/cmd/gateway/cli"
	"sallyport/config"
	"sallyport/health"
	"sallyport/internal/selfdial"
	"sallyport/internal/vm"
	"sallyport/registry"
	"sallyport/registry/store"
	"sallyport/relay"
)

// refusable is a gateway without tunnel whose one registered instance, on a loopback
// address, echoes over TLS, and is in policy until outdated.
type refusable struct {
	*gateway
	port     int
	outdated atomic.Bool
}

func newRefusable(t *testing.T) *refusable {
	t.Helper()
	g := &refusable{gateway: &gateway{
		log: slog.New(slog.DiscardHandler), cfg: &config.Config{}, listeners: selfdial.New(netip.Prefix{}),
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
	g.domainsNow.Store(newDomains([]config.Domain{{Name: "gw.test"}}, g.health.Snapshot))
	second := time.Second
	g.relay, err = relay.New(relay.Options{
		Listen: []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:0")}, Loops: 1, Log: g.log,
		Route:    g.route,
		Timeouts: relay.Timeouts{Hello: second, Handshake: second, Connect: second, Hedge: second, Drain: second},
	})
	if err != nil {
		t.Fatal(err)
	}
	if g.addrs, err = g.relay.Listen(); err != nil {
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
	ca, err := newDemoCA()
	if err != nil {
		t.Fatal(err)
	}
	cert, key := filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")
	if err := ca.issue(cert, key, "app"); err != nil {
		t.Fatal(err)
	}
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
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
	c, err := tls.Dial("tcp", g.addrs[0].String(), &tls.Config{
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

func (g *refusable) status(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(admin.Status{Started: time.Now(), Instances: g.instances()})
	}))
	defer server.Close()
	var out bytes.Buffer
	err := showStatus(t.Context(), &out, strings.TrimPrefix(server.URL, "http://"), false, false)
	return fmt.Sprint(&out, err)
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
	if said := g.status(t); !strings.Contains(said, "refused") || !strings.Contains(said, "attestation: TCB status OutOfDate") || !strings.Contains(said, cli.ErrReported.Error()) {
		t.Errorf("status says %s", said)
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
