package gateway

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net/netip"

	"sallyport/certs"
	"sallyport/config"
	"sallyport/customdomain"
	"sallyport/gateway/issue"
	"sallyport/gateway/route"
	"sallyport/internal/dnsquery"
	"sallyport/internal/listenat"
	"sallyport/internal/selfdial"
	"sallyport/relay"
	"sallyport/wg"
)

// The data plane: the certificates that clients see, the decision where a connection goes,
// and the engine that moves its bytes. Of the control plane it reads the snapshot alone.

// openCertificates loads the domains' certificates, and makes those that the gateway makes
// itself.
func (g *Gateway) openCertificates(ctx context.Context) (err error) {
	p := g.cfg.Proxy
	g.certs, err = certs.Open(issue.Sources(g.cfg.Domains), certs.Options{MinVersion: p.TLSMinVersion, CipherSuites: p.TLS12Ciphers, Log: g.log})
	if err != nil {
		return err
	}
	g.add(part{run: g.certs.Run})
	if g.own, err = issue.OpenOwn(ctx, g.cfg, g.certs.Set, g.log); err == nil && g.own != nil {
		g.add(part{run: g.own.Run})
	}
	return err
}

// openIssuer opens what gets certificates of an authority.
func (g *Gateway) openIssuer(ctx context.Context) error {
	set := func(domain string, apex bool, cert *tls.Certificate) error {
		if apex {
			return g.certs.SetApex(domain, cert)
		}
		return g.certs.Set(domain, cert)
	}
	budget, err := Divide(g.cfg, wg.Mode(g.cfg.WireGuard.Mode)) // the share is the same in all modes
	if err != nil {
		return err
	}
	g.issuer, err = issue.Open(ctx, issue.Options{Config: g.cfg, Store: g.store, Served: set, MaxDNSConnections: budget.DNS, Log: g.log})
	if err == nil && g.issuer != nil {
		g.add(part{run: g.issuer.Run, close: closing(g.issuer.Close)})
	}
	return err
}

// resolvConf names the system's resolvers.
const resolvConf = "/etc/resolv.conf"

// openCustomDomains prepares the lookup of names outside of the gateway's domains.
func (g *Gateway) openCustomDomains(context.Context) error {
	c := g.cfg.CustomDomain
	if !c.Enabled {
		return nil
	}
	opts := customdomain.Options{
		Resolvers: c.Resolvers, Prefix: c.Prefix, Legacy: c.Compat,
		MissesPerSource: c.MissesPerSource, MissesPerSecond: c.MissesPerSecond,
		CacheSize: c.CacheSize, NegativeCacheSize: c.NegativeCacheSize,
		MaxLookups: g.budget.Lookups,
		Log:        g.log,
	}
	if len(opts.Resolvers) == 0 {
		machine, err := dnsquery.System(resolvConf)
		if err != nil {
			return fmt.Errorf("[custom_domain] resolvers: %w", err)
		}
		opts.Resolvers = machine.Servers
	}
	g.custom = customdomain.New(opts)
	g.add(part{close: closing(g.custom.Close)})
	return nil
}

// openRoutes makes what decides where connections go.
func (g *Gateway) openRoutes(context.Context) error {
	var tunnel netip.Prefix
	if g.tunnel.Mode() != wg.ModeNone {
		tunnel = g.cfg.WireGuard.Address
	}
	g.listeners = selfdial.New(tunnel)
	g.site = route.NewSite(g.budget.Site)
	g.add(part{run: func(ctx context.Context) error {
		return g.site.Serve(ctx, g.cfg.RPC.DstackAgent, issue.Publish(g.certs, g.issuer), g.log)
	}})
	opts := route.Options{
		Domains: g.cfg.Domains, Snapshot: g.health.Snapshot, Certificates: g.certs, Listeners: g.listeners, Site: g.site,
		InstanceTLS: g.appraise.InstanceTLS, MaxPerAppAndSource: g.cfg.Proxy.MaxConnectionsPerAppAndSource,
	}
	if g.issuer != nil {
		opts.Challenge = g.issuer.Challenge
		g.listeners.Add(g.issuer.Addresses()...)
	}
	if g.custom != nil {
		opts.Custom = g.custom
	}
	g.routes = route.New(opts)
	g.routes.SetProxyTLVs(g.cfg.Proxy.ProxyTLVs)
	if err := g.checkUpstreams(g.cfg); err != nil {
		return err
	}
	return g.routes.SetUpstreams(g.cfg.Proxy.UpstreamRATLS)
}

// checkUpstreams returns why the systems of the instances that [proxy] upstream_ratls lists
// would be unknown, or nil.
func (g *Gateway) checkUpstreams(cfg *config.Config) error {
	if cfg.Proxy.UpstreamRATLS.IsZero() {
		return nil
	}
	return g.appraise.KnowsSystems(cfg.Attestation)
}

// openRelay opens the listeners for clients.
func (g *Gateway) openRelay(context.Context) (err error) {
	p := g.cfg.Proxy
	opts := relay.Options{
		Listen: listenat.Resolve(p.Listen),
		Route:  g.routes.Decide,
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
	if g.relay, err = relay.New(opts); err != nil {
		return err
	}
	if g.clients, err = g.relay.Listen(); err != nil {
		return err
	}
	g.add(part{close: closing(g.relay.Close)}) // Run runs it apart from the others
	g.listeners.Add(g.clients...)
	for _, a := range g.clients {
		g.log.Info("listening for clients", "address", a.String(), "max_connections", g.budget.Connections)
	}
	return nil
}

// closing makes a part's close of one that cannot fail.
func closing(f func()) func() error {
	return func() error {
		f()
		return nil
	}
}
