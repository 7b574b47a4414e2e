package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"sallyport/admin"
	"sallyport/certs"
	"sallyport/config"
	"sallyport/health"
	"sallyport/internal/vm"
	"sallyport/relay"
	"sallyport/router"
	"sallyport/wg"
)

func newRun() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "run --config FILE",
		Short: "Run the gateway",
		Long: `run serves until SIGINT or SIGTERM, then refuses new connections and lets the
open ones end for [proxy.timeouts] drain; a second signal ends them at once.
SIGHUP reads the certificates anew. SIGUSR1 switches debug logging on and off.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := config.Load(file)
			if problems := config.Errors(nil); errors.As(err, &problems) {
				fmt.Fprintln(cmd.ErrOrStderr(), problems)
				return errSaid
			}
			if err != nil {
				return err
			}
			log, level := newLogger(cmd.ErrOrStderr(), cfg.Log)
			return run(cmd.Context(), cfg, log, level)
		},
	}
	configFlag(cmd, &file)
	return cmd
}

// run makes a gateway and serves until a signal.
func run(ctx context.Context, cfg *config.Config, log *slog.Logger, level *slog.LevelVar) error {
	defer tuneRuntime(cfg.Proxy.Loops)()
	g, err := newGateway(ctx, cfg, log)
	if err != nil {
		return err
	}
	defer onSignal(syscall.SIGHUP, g.reload)()
	defer onSignal(syscall.SIGUSR1, func() { toggleDebug(log, level, cfg.Log.Level) })()
	ctx, stop := untilSignal(ctx, g.relay.Abort)
	defer stop()
	return g.serve(ctx)
}

// gateway is one gateway: its parts, joined.
type gateway struct {
	cfg      *config.Config
	log      *slog.Logger
	certs    *certs.Index
	tunnel   *wg.Device
	health   *health.Monitor
	relay    *relay.Engine
	admin    *admin.Server
	addrs    []netip.AddrPort // where clients connect
	adminAt  net.Listener     // nil: none
	started  time.Time
	draining atomic.Bool
}

// newGateway makes the parts in the order in which they need each other. On an
// error nothing of it is left.
func newGateway(ctx context.Context, cfg *config.Config, log *slog.Logger) (_ *gateway, err error) {
	g := &gateway{cfg: cfg, log: log, started: time.Now()}
	defer func() {
		if err != nil {
			err = errors.Join(err, g.close())
		}
	}()
	for _, step := range []func(context.Context) error{
		g.openStore, g.openCerts, g.openTunnel, g.openHealth, g.openRelay, g.openAdmin,
	} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	return g, nil
}

func (g *gateway) openStore(context.Context) error {
	if err := os.MkdirAll(g.cfg.Store.Path, 0o700); err != nil {
		return fmt.Errorf("[store] path: %w", err)
	}
	return nil
}

func (g *gateway) openCerts(context.Context) (err error) {
	g.certs, err = certs.Open(sources(g.cfg), certs.Options{MinVersion: g.cfg.Proxy.TLSMinVersion, Log: g.log})
	return err
}

func sources(cfg *config.Config) []certs.Source {
	var list []certs.Source
	for _, d := range cfg.Domains {
		list = append(list, certs.Source{Domain: d.Name, CertFile: d.Cert, KeyFile: d.Key})
	}
	return list
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
	}
	if g.tunnel, err = wg.Open(ctx, opts); err != nil {
		return err
	}
	if g.tunnel.Mode() == wg.ModeNone {
		return nil // Open has warned
	}
	g.log.Info("tunnel is up", "mode", string(g.tunnel.Mode()), "interface", g.tunnel.Name(),
		"public_key", g.tunnel.PublicKey().String(), "port", g.tunnel.ListenPort(), "address", c.Address.String())
	return nil
}

// openHealth hands the static instances to the monitor and makes their peers.
func (g *gateway) openHealth(ctx context.Context) error {
	opts := health.Options{
		MaxAge:    g.cfg.Health.MaxHandshakeAge,
		MaxPerApp: int64(g.cfg.Proxy.MaxConnectionsPerApp),
		OnGone:    func(inst *vm.Instance, _ health.Gone) { g.relay.CloseBackend(inst.Live) },
		Log:       g.log,
	}
	if g.tunnel.Mode() != wg.ModeNone {
		opts.Handshakes = g.tunnel.Handshakes
	}
	g.health = health.New(opts)
	specs := make([]vm.Spec, 0, len(g.cfg.Instances))
	keys := make([]vm.WGKey, 0, len(g.cfg.Instances))
	for _, i := range g.cfg.Instances {
		specs = append(specs, vm.Spec{ID: i.InstanceID, App: i.AppID, Key: i.PublicKey, Addr: i.Address, Policy: vm.OpenPolicy()})
		keys = append(keys, i.PublicKey)
	}
	if g.tunnel.Mode() != wg.ModeNone {
		if err := g.tunnel.RemovePeersExcept(ctx, keys); err != nil {
			return err
		}
		for _, s := range specs {
			if err := g.tunnel.SetPeer(ctx, wg.Peer{Key: s.Key, Address: s.Addr}); err != nil {
				return fmt.Errorf("instance %s: %w", s.ID, err)
			}
		}
	}
	g.health.Upsert(specs...)
	return nil
}

func (g *gateway) openRelay(context.Context) error {
	domains := make([]string, 0, len(g.cfg.Domains))
	for _, d := range g.cfg.Domains {
		domains = append(domains, d.Name)
	}
	p := g.cfg.Proxy
	opts := relay.Options{
		Listen: p.Listen,
		Route:  routeFunc(router.New(router.Options{Domains: domains, Snapshot: g.health.Snapshot}), g.certs),
		Timeouts: relay.Timeouts{
			Hello: p.Timeouts.Hello, Handshake: p.Timeouts.Handshake, Connect: p.Timeouts.Connect,
			Hedge: p.Timeouts.Hedge, Idle: p.Timeouts.Idle, Drain: p.Timeouts.Drain,
		},
		Loops: p.Loops, MaxConnections: p.MaxConnections, MaxPerSource: p.MaxConnectionsPerSource,
		ProxyProtocolFrom: p.ProxyProtocolFrom,
		Log:               g.log, Access: g.cfg.Log.Access,
	}
	switch g.tunnel.Mode() {
	case wg.ModeNetstack:
		opts.Dial = g.tunnel.Dial
	case wg.ModeKernel, wg.ModeUserspace:
		opts.BackendMSS = wg.MSS(g.cfg.WireGuard.MTU)
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
		g.log.Info("listening for clients", "address", a.String(), "max_connections", g.relay.MaxConnections())
	}
	return nil
}

func (g *gateway) openAdmin(ctx context.Context) error {
	opts := admin.Options{Log: g.log, Status: g.report}
	opts.Checks = []admin.Check{
		{Name: "certificate", Ready: g.certs.Ready},
		{Name: "tunnel", Ready: g.tunnel.Ready},
		{Name: "listeners", Ready: func() error {
			if g.draining.Load() {
				return errors.New("draining: new connections are refused")
			}
			return nil
		}},
	}
	opts.Collectors = append(opts.Collectors, g.relay.Collectors()...)
	opts.Collectors = append(opts.Collectors, g.health.Collectors()...)
	opts.Collectors = append(opts.Collectors, g.tunnel.Collectors()...)
	opts.Collectors = append(opts.Collectors, g.certs.Collectors()...)
	g.admin = admin.New(opts)
	at := g.cfg.Admin.Listen
	if !at.IsValid() {
		return nil
	}
	if !at.Addr().IsLoopback() {
		g.log.Warn("[admin] listen is not a loopback address: whoever reaches it can read the names of apps and their traffic", "address", at.String())
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", at.String())
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
	stop()
	err = errors.Join(err, parts.Wait(), g.close())
	g.log.Info("stopped")
	return err
}

// reload reads the certificates anew.
func (g *gateway) reload() {
	changed, err := g.certs.Reload()
	if err != nil {
		g.log.Error("certificates that cannot be used were left; the old ones stay", "error", err)
	}
	g.log.Info("certificates read", "changed", changed)
}

// close gives back what newGateway opened and serve has not ended.
func (g *gateway) close() error {
	if g.tunnel == nil {
		return nil
	}
	return g.tunnel.Close()
}

// tuneRuntime gives the loops what they need of the Go runtime: a spare P, so
// that the control plane and the garbage collector never make a loop wait for one
// when it returns from epoll; and a floor for the heap, because with a live heap of
// a few MiB the garbage of handshakes would be collected 50 times a second. The
// ballast is never touched, so it costs address space and no memory; it lives
// until the returned function is called.
func tuneRuntime(loops int) (release func()) {
	if loops == 0 {
		loops = runtime.NumCPU()
	}
	runtime.GOMAXPROCS(max(runtime.GOMAXPROCS(0), loops+1))
	ballast := make([]byte, heapFloor)
	return func() { runtime.KeepAlive(ballast) }
}

const heapFloor = 32 << 20
