package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"path/filepath"
	"reflect"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"sallyport/admin"
	"sallyport/certs"
	"sallyport/cmd/gateway/cli"
	"sallyport/config"
	"sallyport/customdomain"
	"sallyport/gateway/appraise"
	"sallyport/gateway/issue"
	"sallyport/health"
	"sallyport/internal/descriptors"
	"sallyport/internal/listenat"
	"sallyport/internal/oneline"
	"sallyport/internal/selfdial"
	"sallyport/internal/vm"
	"sallyport/ratls"
	"sallyport/registry"
	"sallyport/registry/store"
	"sallyport/relay"
	"sallyport/wg"
	"sallyport/wg/hold"
)

// gateway is one gateway: its parts, joined.
type gateway struct {
	cfg       *config.Config
	log       *slog.Logger
	certs     *certs.Index
	own       *ratls.Renewer // nil: no domain has a certificate by the gateway's own evidence
	issuer    *issue.Issuer  // nil: no domain has one of an authority
	attest    *appraise.Appraiser
	keyLock   io.Closer // nil: no tunnel
	tunnel    *wg.Device
	budget    descriptors.Budget // who may have how many
	health    *health.Monitor
	store     *store.Bolt
	registry  *registry.Registry
	rpc       *guestAPI              // nil: no guest can register
	domains   *customdomain.Resolver // nil: not looked up
	site      *ownSite
	relay     *relay.Engine
	upstream  upstreams
	proxyTLVs appList
	admin     *admin.Server
	addrs     []netip.AddrPort // where clients connect
	adminAt   net.Listener     // nil: none

	listeners *selfdial.Listeners // all of this process's: no client is led to one

	started  time.Time
	draining atomic.Bool

	domainsNow atomic.Pointer[domains] // that are served; a reload replaces them
}

// newGateway makes and opens a gateway.
func newGateway(ctx context.Context, cfg *config.Config, log *slog.Logger) (*gateway, error) {
	g := &gateway{cfg: cfg, log: log, started: time.Now(), site: newOwnSite()}
	if err := g.open(ctx); err != nil {
		return nil, err
	}
	return g, nil
}

// open makes the parts in the order in which they need each other. On an error
// nothing of it is left.
func (g *gateway) open(ctx context.Context) (err error) {
	defer func() {
		if err != nil {
			err = oneline.Join(err, g.close())
		}
	}()
	for _, step := range []func(context.Context) error{
		g.openCerts, g.openStore, g.openIssuer, g.openTunnel, g.openBudget, g.openHealth, g.openAttestation, g.openRegistry,
		g.openDomains, g.openUpstreams, g.openRelay, g.openRPC, g.openAdmin, g.noteListeners,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// openCerts loads the domains' certificates, and makes those that the gateway makes itself.
func (g *gateway) openCerts(ctx context.Context) (err error) {
	if g.certs, err = certs.Open(issue.Sources(g.cfg.Domains), certs.Options{
		MinVersion: g.cfg.Proxy.TLSMinVersion, CipherSuites: g.cfg.Proxy.TLS12Ciphers, Log: g.log,
	}); err != nil {
		return err
	}
	g.own, err = issue.OpenOwn(ctx, g.cfg, g.certs.Set, g.log)
	return err
}

func (g *gateway) openTunnel(ctx context.Context) error {
	c := g.cfg.WireGuard
	opts := wg.Options{
		Mode: wg.Mode(c.Mode), Interface: c.Interface, ListenPort: int(c.ListenPort), Address: c.Address, MTU: c.MTU,
		EndpointsFile: filepath.Join(g.cfg.Store.Path, "endpoints.json"), Log: g.log,
	}
	var err error
	if opts.Mode != wg.ModeNone {
		if opts.PrivateKey, err = wg.LoadOrCreateKey(c.PrivateKeyFile); err != nil {
			return err
		}
		if g.keyLock, err = hold.Key(c.PrivateKeyFile, g.log); err != nil {
			return err
		}
	}
	g.tunnel, err = wg.Open(ctx, opts)
	return err
}

func (g *gateway) openHealth(context.Context) error {
	opts := health.Options{
		MaxAge:    g.cfg.Health.MaxHandshakeAge,
		MaxPerApp: int64(g.cfg.Proxy.MaxConnectionsPerApp),
		// Only what was served can be gone, and relay is there before anybody is.
		OnGone: func(inst *vm.Instance, _ health.Gone) { g.relay.CloseBackend(inst.Live) },
		Log:    g.log,
	}
	if g.tunnel.Mode() != wg.ModeNone {
		opts.Handshakes = g.tunnel.Handshakes
	}
	g.health = health.New(opts)
	return nil
}

func (g *gateway) openRelay(context.Context) error {
	g.domainsNow.Store(newDomains(g.cfg.Domains, g.health.Snapshot))
	p := g.cfg.Proxy
	g.proxyTLVs.set(p.ProxyTLVs)
	opts := relay.Options{
		Listen: listenat.Resolve(p.Listen),
		Route:  g.route,
		Timeouts: relay.Timeouts{
			Hello: p.Timeouts.Hello, Handshake: p.Timeouts.Handshake, Connect: p.Timeouts.Connect,
			Hedge: p.Timeouts.Hedge, Idle: p.Timeouts.Idle, Drain: p.Timeouts.Drain,
		},
		Loops: p.Loops, MaxPerSource: p.MaxConnectionsPerSource,
		MaxConnections: g.budget.Connections, MaxLingering: g.budget.Lingering, MaxHedges: g.budget.Hedges, MaxPipes: g.budget.Pipes,
		ProxyProtocolFrom: p.ProxyProtocolFrom,
		Log:               g.log, LoopLog: func() *slog.Logger { return ownLog(g.log) }, Access: g.cfg.Log.Access,
	}
	switch g.tunnel.Mode() {
	case wg.ModeNetstack:
		opts.Dial = g.tunnel.Dial
	case wg.ModeKernel, wg.ModeUserspace:
		opts.Bind, opts.BackendMSS = g.tunnel.Bind, wg.MSS(g.cfg.WireGuard.MTU)
	default: // mode none: no tunnel, no limit of its own
	}
	var err error
	if g.relay, err = relay.New(opts); err != nil {
		return err
	}
	if g.addrs, err = g.relay.Listen(); err != nil {
		return err
	}
	for _, a := range g.addrs {
		g.log.Info("listening for clients", "address", a.String(), "max_connections", g.budget.Connections)
	}
	return nil
}

func (g *gateway) openAdmin(ctx context.Context) error {
	opts := admin.Options{Log: g.log, Status: g.report, Hosts: g.cfg.Admin.Hosts, Profiles: g.cfg.Admin.Pprof}
	opts.Checks = []admin.Check{
		{Name: "certificate", Ready: g.certified},
		{Name: "tunnel", Ready: g.tunnel.Ready},
		{Name: "loops", Ready: g.relay.Ready},
		{Name: "listeners", Ready: func() error {
			if g.draining.Load() {
				return errors.New("draining: new connections are refused")
			}
			return nil
		}},
	}
	opts.Collectors = append(opts.Collectors, logCollectors(g.log)...)
	opts.Collectors = append(opts.Collectors, budgetCollector{g.budget})
	opts.Collectors = append(opts.Collectors, g.relay.Collectors()...)
	opts.Collectors = append(opts.Collectors, g.health.Collectors()...)
	opts.Collectors = append(opts.Collectors, g.tunnel.Collectors()...)
	opts.Collectors = append(opts.Collectors, g.certs.Collectors()...)
	opts.Collectors = append(opts.Collectors, g.registry.Collectors()...)
	if g.rpc != nil {
		opts.Checks = append(opts.Checks, admin.Check{Name: "rpc certificate", Ready: g.rpc.identity.Ready})
		opts.Collectors = append(opts.Collectors, g.rpc.server.Collectors()...)
	}
	if g.issuer != nil {
		opts.Collectors = append(opts.Collectors, g.issuer.Collectors()...)
	}
	if g.domains != nil {
		opts.Collectors = append(opts.Collectors, g.domains.Collectors()...)
	}
	g.admin = admin.New(opts)
	at := g.cfg.Admin.Listen
	if !at.IsValid() {
		return nil
	}
	if !at.Addr().IsLoopback() {
		g.log.Warn("[admin] listen is not a loopback address: whoever reaches it can read the names of apps and their traffic", "address", at.String())
	}
	l, err := listenat.TCP(ctx, at)
	if err != nil {
		return fmt.Errorf("[admin] listen: %w", err)
	}
	g.adminAt = l
	g.log.Info("listening for operators", "address", l.Addr().String())
	return nil
}

// serve runs all parts until ctx is done, then lets connections end, and then
// stops the parts that they need.
func (g *gateway) serve(ctx context.Context) error {
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	parts, background := errgroup.WithContext(background)
	parts.Go(func() error { return g.tunnel.Run(background) })
	parts.Go(func() error { return g.health.Run(background) })
	parts.Go(func() error { return g.certs.Run(background) })
	if g.own != nil {
		parts.Go(func() error { return g.own.Run(background) })
	}
	if g.issuer != nil {
		parts.Go(func() error { return g.issuer.Run(background) })
	}
	parts.Go(func() error { return g.attest.Run(background) })
	parts.Go(func() error { return g.registry.Run(background) })
	parts.Go(func() error {
		return g.site.serve(background, g.cfg.RPC.DstackAgent, issue.Publish(g.certs, g.issuer), g.log)
	})
	if g.rpc != nil {
		parts.Go(func() error { return g.rpc.serve(background) })
	}
	if g.adminAt != nil {
		parts.Go(func() error { return g.admin.Serve(background, g.adminAt) })
	}
	// A part that fails takes the gateway with it: half a gateway fails in silence.
	context.AfterFunc(background, g.relay.Abort)
	context.AfterFunc(ctx, func() {
		g.draining.Store(true)
		g.log.Info("draining", "connections", g.relay.Open(), "limit", g.cfg.Proxy.Timeouts.Drain.String())
	})
	err := g.relay.Run(ctx)
	if err != nil { // a loop is stuck, and others may wait for it
		defer cli.EndSoon(g.log).Stop()
	}
	if g.tunnel.Mode() != wg.ModeNone {
		<-time.After(lastWords)
	}
	stop()
	err = oneline.Join(err, parts.Wait(), g.close())
	g.log.Info("stopped")
	return err
}

// lastWords is how long the tunnel outlives the connections: their last FINs have
// yet to go through it.
const lastWords = 100 * time.Millisecond

// reload reads the certificates anew.
func (g *gateway) reload() {
	changed, err := g.certs.Reload()
	if err != nil {
		g.log.Error("certificates that cannot be used were left; the old ones stay", "error", err)
	}
	if g.rpc != nil {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute) // a guest agent may be asked
		defer cancel()
		if renewed, err := g.rpc.identity.Reload(ctx); err != nil {
			g.log.Error("the [rpc] certificate cannot be used; the old one stays", "error", err)
		} else if renewed {
			changed++
		}
	}
	if err := g.attest.ReloadRoots(); err != nil {
		g.log.Error("cannot reload the KMS's root; the previous one stays in use", "error", err)
	}
	g.log.Info("certificates read", "changed", changed)
}

// reloadConfig takes over what of the file may change while the gateway runs. From a
// file with a problem nothing is taken.
func (g *gateway) reloadConfig(file string) {
	cfg, err := config.Load(file)
	if err == nil {
		err = g.setDomains(cfg)
	}
	if err == nil {
		err = g.upstream.set(cfg.Proxy.UpstreamRATLS, cfg.Attestation)
	}
	if err != nil {
		g.log.Error("the configuration cannot be used; what is in force stays", "error", err)
		return
	}
	g.proxyTLVs.set(cfg.Proxy.ProxyTLVs)
	g.attest.Reload(cfg.Attestation)
	if !reflect.DeepEqual(cfg.ACME, g.cfg.ACME) {
		g.log.Warn("[acme] has changed: that needs a restart; until then the old section is in force")
	}
	g.log.Info("configuration read", "file", file, "domains", len(cfg.Domains), "upstream_ratls", len(cfg.Proxy.UpstreamRATLS.IDs), "upstream_ratls_all", cfg.Proxy.UpstreamRATLS.All)
}

// close gives back what newGateway opened and serve has not ended. The tunnel goes
// before the store: nobody can register any more.
func (g *gateway) close() error {
	var errs []error
	if g.domains != nil {
		g.domains.Close()
	}
	if g.issuer != nil {
		g.issuer.Close()
	}
	if g.tunnel != nil {
		errs = append(errs, g.tunnel.Close())
	}
	if g.keyLock != nil {
		errs = append(errs, g.keyLock.Close())
	}
	if g.store != nil {
		errs = append(errs, g.store.Close())
	}
	return oneline.Join(errs...)
}
