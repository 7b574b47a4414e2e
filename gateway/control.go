package gateway

import (
	"cmp"
	"context"
	"crypto/x509"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"sallyport/gateway/appraise"
	"sallyport/gateway/guests"
	"sallyport/gateway/issue"
	"sallyport/health"
	"sallyport/internal/vm"
	"sallyport/registry"
	"sallyport/registry/store"
	"sallyport/registry/webhook"
	"sallyport/wg"
	"sallyport/wg/hold"
)

// The control plane: which instances are registered, in which tunnel, by which evidence, and
// which of them may receive connections. It publishes the snapshot that the data plane reads.

// openStore opens what must survive a restart.
func (g *Gateway) openStore(context.Context) (err error) {
	if err := os.MkdirAll(g.cfg.Store.Path, 0o700); err != nil {
		return fmt.Errorf("[store] path: %w", err)
	}
	if g.store, err = store.OpenBolt(filepath.Join(g.cfg.Store.Path, store.FileName)); err != nil {
		return err
	}
	g.add(part{close: g.store.Close})
	return nil
}

// openTunnel opens the gateway's end of the tunnel, with a key that no other process uses.
func (g *Gateway) openTunnel(ctx context.Context) (err error) {
	c := g.cfg.WireGuard
	opts := wg.Options{
		Mode: wg.Mode(c.Mode), Interface: c.Interface, ListenPort: int(c.ListenPort), Address: c.Address, MTU: c.MTU,
		EndpointsFile: filepath.Join(g.cfg.Store.Path, "endpoints.json"), Log: g.log,
	}
	if opts.Mode != wg.ModeNone {
		if opts.PrivateKey, err = wg.LoadOrCreateKey(c.PrivateKeyFile); err != nil {
			return err
		}
		lock, err := hold.Key(c.PrivateKeyFile, g.log)
		if err != nil {
			return err
		}
		g.add(part{close: lock.Close})
	}
	if g.tunnel, err = wg.Open(ctx, opts); err != nil {
		return err
	}
	g.add(part{run: g.tunnel.Run, close: g.tunnel.Close})
	return nil
}

// openHealth makes what decides which instances may receive connections.
func (g *Gateway) openHealth(context.Context) error {
	opts := health.Options{
		MaxAge:    g.cfg.Health.MaxHandshakeAge,
		MaxPerApp: int64(g.cfg.Proxy.MaxConnectionsPerApp),
		// Only an instance that was served can be gone, and relay is open before the first is.
		OnGone: func(inst *vm.Instance, _ health.Gone) { g.relay.CloseBackend(inst.Live) },
		Log:    g.log,
	}
	if g.tunnel.Mode() != wg.ModeNone {
		opts.Handshakes = g.tunnel.Handshakes
	}
	g.health = health.New(opts)
	g.add(part{run: g.health.Run})
	return nil
}

// openAppraiser makes what appraises evidence. New collateral or a new policy may change
// the verdict on registered instances, which happens only while the gateway runs.
func (g *Gateway) openAppraiser(context.Context) (err error) {
	g.appraise, err = appraise.New(appraise.Options{
		Config:   g.cfg,
		OnChange: func(reason string) { g.registry.Reattest(reason) },
		GuestRoots: func() *x509.CertPool {
			if g.guests == nil {
				return nil
			}
			return g.guests.Roots()
		},
		Log: g.log,
	})
	if err == nil {
		g.add(part{run: g.appraise.Run, close: closing(g.appraise.Close)})
	}
	return err
}

// openRegistry restores the registered and the static instances: it sets their peers and
// publishes them.
func (g *Gateway) openRegistry(ctx context.Context) error {
	opts := registry.Options{
		Store:     g.store,
		Publisher: g.health,
		OwnKey:    g.tunnel.PublicKey(),
		Network:   g.cfg.WireGuard.Address, Pool: g.cfg.WireGuard.Pool, Reserved: g.cfg.WireGuard.Reserved,
		AddressRest:  g.cfg.Registry.AddressRest,
		RecycleAfter: cmp.Or(g.cfg.Registry.RecycleAfter, forever),
		MaxPerApp:    cmp.Or(g.cfg.Registry.MaxInstancesPerApp, -1),
		PoolShare:    g.cfg.Registry.MaxPoolSharePerApp,

		AuthorizeInterval: g.cfg.RPC.Auth.Interval,
		ProofGrace:        g.cfg.RPC.ProofGrace,

		RequireEvidence:  g.cfg.RPC.RequireQuote,
		Appraise:         g.appraise.AppraiseInstance,
		Recheck:          g.appraise.RecheckInstance,
		UndecidedFor:     g.cfg.Attestation.UndecidedFor,
		ReattestInterval: g.cfg.Attestation.ReattestInterval,
		MaxFetches:       g.budget.Policies,
		OpenPrivate:      g.cfg.Registry.PrivateComposeOpens,

		Log: g.log,
	}
	for _, i := range g.cfg.Instances {
		policy, err := vm.NewPortPolicy(i.Ports != nil, i.Ports)
		if err != nil {
			return fmt.Errorf("[[instance]] ports: %w", err)
		}
		opts.Static = append(opts.Static, vm.Spec{ID: i.InstanceID, App: i.AppID, Key: i.PublicKey, Addr: i.Address, Policy: policy})
	}
	if g.tunnel.Mode() != wg.ModeNone {
		opts.Tunnel = peers{g.tunnel}
		opts.Handshakes = g.tunnel.Handshakes
	}
	if hook := g.cfg.RPC.Auth; hook.URL != nil {
		w, err := webhook.New(hook.URL.String(), hook.Timeout)
		if err != nil {
			return err
		}
		opts.Authorize = w.Authorize
	}
	var err error
	if g.registry, err = registry.Open(ctx, opts); err != nil {
		return err
	}
	g.add(part{run: g.registry.Run})
	return nil
}

// forever is what recycle_after = "0s" means; long enough, and no time overflows by it.
const forever = 100 * 365 * 24 * time.Hour

// peers is the tunnel as the registry sees it.
type peers struct{ *wg.Device }

func (p peers) SetPeer(ctx context.Context, key vm.WGKey, address netip.Addr) error {
	return p.Device.SetPeer(ctx, wg.Peer{Key: key, Address: address})
}

// openGuests listens for guests that register.
func (g *Gateway) openGuests(ctx context.Context) (err error) {
	g.guests, err = guests.Open(ctx, guests.Options{
		Config: g.cfg, Registry: g.registry, Appraiser: g.appraise, Certificates: issue.Publish(g.certs, g.issuer),
		TunnelKey: g.tunnel.PublicKey(), ClientPort: g.clients[0].Port(), MaxConns: g.budget.Guests, Log: g.log,
	})
	if err == nil && g.guests != nil {
		g.add(part{run: g.guests.Run, close: closing(g.guests.Close)})
		g.listeners.Add(g.guests.Address())
	}
	return err
}
