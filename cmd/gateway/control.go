package main

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"sallyport/customdomain"
	"sallyport/gateway/appraise"
	"sallyport/gateway/issue"
	"sallyport/internal/buildinfo"
	"sallyport/internal/dnsquery"
	"sallyport/internal/listenat"
	"sallyport/internal/vm"
	"sallyport/ratls"
	"sallyport/registry"
	"sallyport/registry/record"
	"sallyport/registry/store"
	"sallyport/registry/webhook"
	"sallyport/rpc"
	"sallyport/wg"
)

// openStore opens what must survive a restart.
func (g *gateway) openStore(context.Context) (err error) {
	if err := os.MkdirAll(g.cfg.Store.Path, 0o700); err != nil {
		return fmt.Errorf("[store] path: %w", err)
	}
	g.store, err = store.OpenBolt(filepath.Join(g.cfg.Store.Path, store.FileName))
	return err
}

// openAttestation makes what judges evidence. New collateral or a new policy may
// change the verdict on whoever is registered.
func (g *gateway) openAttestation(context.Context) (err error) {
	g.attest, err = appraise.New(appraise.Options{Config: g.cfg, OnChange: g.reattest, GuestRoots: g.guestRoots, Log: g.log})
	return err
}

// guestRoots are those of the guests' API, nil while there is none.
func (g *gateway) guestRoots() *x509.CertPool {
	if g.rpc == nil {
		return nil
	}
	return g.rpc.identity.Roots()
}

// reattest has everybody judged again. It is called when the gateway is open: before,
// nobody is asked for evidence.
func (g *gateway) reattest(reason string) { g.registry.Reattest(reason) }

// openRegistry brings back everybody who was registered, and the static
// instances: their peers are set and they are published.
func (g *gateway) openRegistry(ctx context.Context) error {
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
		Appraise:         g.attest.AppraiseInstance,
		Recheck:          g.attest.RecheckInstance,
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
	g.registry, err = registry.Open(ctx, opts)
	return err
}

// forever is what recycle_after = "0s" means; long enough, and no time overflows by it.
const forever = 100 * 365 * 24 * time.Hour

// peers is the tunnel as the registry sees it.
type peers struct{ *wg.Device }

func (p peers) SetPeer(ctx context.Context, key vm.WGKey, address netip.Addr) error {
	return p.Device.SetPeer(ctx, wg.Peer{Key: key, Address: address})
}

// guestAPI is the side where guests register.
type guestAPI struct {
	identity *rpc.Identity
	server   *rpc.Server
	listener net.Listener
}

func (g *gateway) openRPC(ctx context.Context) error {
	c := g.cfg.RPC
	if !c.Listen.IsValid() {
		return nil
	}
	if g.tunnel.Mode() == wg.ModeNone {
		return errors.New(`[rpc] listen: guests need a tunnel, and [wireguard] mode is "none"`)
	}
	from := rpc.IdentityOptions{Files: rpc.Files{Cert: c.Cert, Key: c.Key, ClientCA: c.ClientCA}, OnAuthorities: g.setAuthorities, Log: g.log}
	if c.DstackAgent != "" {
		from.Agent = rpc.Agent{Socket: c.DstackAgent, AltNames: []string{c.PublicURL.Hostname()}}
	}
	identity, err := rpc.OpenIdentity(ctx, from)
	if err != nil {
		return err
	}
	l, err := listenat.TCP(ctx, c.Listen)
	if err != nil {
		return fmt.Errorf("[rpc] listen: %w", err)
	}
	g.rpc = &guestAPI{identity: identity, listener: l, server: rpc.New(rpc.Options{
		Identity:  identity,
		Identify:  g.identify,
		Registrar: registrar{g.registry, g.log},
		Nodes:     g.nodes,
		AppOf:     appOf,
		Public: rpc.Public{
			Domain: g.cfg.Domains[0].Name, Port: cmp.Or(c.ExternalPort, g.addrs[0].Port()), AgentPort: c.InternalPort, TXTPrefix: g.cfg.CustomDomain.Prefix,
		},
		Certificates:   issue.Publish(g.certs, g.issuer),
		MaxConnections: g.budget.Guests, MaxPerSource: max(4, min(512, g.budget.Guests/4)),
		Version: buildinfo.Version(), Commit: buildinfo.Commit(),
		Log: g.log,
	})}
	g.log.Info("listening for guests", "address", l.Addr().String())
	return nil
}

// serve answers guests until ctx is done.
func (a *guestAPI) serve(ctx context.Context) error {
	parts, ctx := errgroup.WithContext(ctx)
	parts.Go(func() error { return a.identity.Run(ctx) })
	parts.Go(func() error { return a.server.Serve(ctx, a.listener) })
	return parts.Wait()
}

// identify says who a guest is, by its certificate.
func (g *gateway) identify(ctx context.Context, state *tls.ConnectionState) (rpc.Caller, error) {
	if len(state.VerifiedChains) == 0 {
		return rpc.Caller{}, errors.New("client authentication is required")
	}
	chain := state.VerifiedChains[0]
	id, err := ratls.Identify(ctx, chain, ratls.Options{RequireQuote: g.cfg.RPC.RequireQuote, Appraiser: g.attest})
	if errors.Is(err, ratls.ErrNoAttestation) {
		return rpc.Caller{}, rpc.ErrNoAttestation
	}
	if err != nil {
		return rpc.Caller{}, err
	}
	who := proof{info: id.AppInfo, chain: proofOf(chain)}
	if id.HasQuote {
		who.evidence = chain[0].Raw
	}
	return rpc.Caller{
		App:      vm.AppID(id.AppID.String()),
		Instance: vm.InstanceID(id.InstanceID.String()),
		Compose:  vm.ComposeHash(id.ComposeHash),
		Info:     who,
	}, nil
}

// proof is what is known of a caller besides its ids.
type proof struct {
	info     ratls.AppInfo
	chain    registry.Proof
	evidence []byte // its certificate, if there is hardware evidence in it
}

// proofOf is what the registry keeps of a verified chain, from leaf to root.
func proofOf(chain []*x509.Certificate) registry.Proof {
	p := registry.Proof{Root: sha256.Sum256(chain[len(chain)-1].Raw), Until: chain[0].NotAfter}
	for _, c := range chain[1:] {
		if c.NotAfter.Before(p.Until) {
			p.Until = c.NotAfter
		}
	}
	return p
}

// setAuthorities tells the registry which roots are in force.
func (g *gateway) setAuthorities(roots []*x509.Certificate) {
	all := make([]registry.Fingerprint, len(roots))
	for i, c := range roots {
		all[i] = sha256.Sum256(c.Raw)
	}
	g.registry.SetAuthorities(all)
}

func appOf(leaf *x509.Certificate) (vm.AppID, error) {
	ext, err := ratls.ParseExtensions(leaf.Extensions)
	return vm.AppID(ext.AppID.String()), err
}

// nodes are the gateways that a guest is told of: this one.
func (g *gateway) nodes() []rpc.Node {
	n := rpc.Node{Key: g.tunnel.PublicKey(), Address: g.cfg.WireGuard.Address, Endpoint: g.cfg.WireGuard.Endpoint.String()}
	if u := g.cfg.RPC.PublicURL; u != nil {
		n.URL = u.String()
	}
	return []rpc.Node{n}
}

// registrar is the registry as guests' requests see it.
type registrar struct {
	*registry.Registry
	log *slog.Logger
}

func (r registrar) Register(ctx context.Context, c rpc.Caller, in rpc.Registration) (rpc.Grant, error) {
	q := registry.Request{App: c.App, Instance: c.Instance, Compose: c.Compose, Key: in.Key}
	if in.Policy.State() != vm.PolicyUnknown {
		q.Policy = &in.Policy
	}
	if known, ok := c.Info.(proof); ok {
		q.Facts, q.Evidence, q.Proof = facts(known.info), known.evidence, known.chain
	}
	grant, err := r.Registry.Register(ctx, q)
	if errors.Is(err, registry.ErrNoEvidence) {
		return rpc.Grant{}, rpc.ErrNoAttestation
	}
	for _, ours := range []error{registry.ErrStore, registry.ErrPeer, registry.ErrUndecided, registry.ErrAuthorizer} {
		if errors.Is(err, ours) {
			// What it wraps names files, devices and servers: the operator's business, not the guest's.
			r.log.Error("registration failed", "instance", string(c.Instance), "app", string(c.App), "error", err)
			return rpc.Grant{}, ours
		}
	}
	return rpc.Grant{Address: grant.Spec.Addr}, err
}

// facts are what the webhook is told besides.
func facts(info ratls.AppInfo) registry.Facts {
	f := registry.Facts{
		DeviceID: info.DeviceID[:], MRSystem: info.MRSystem[:], MRAggregated: info.MRAggregated[:],
		OSImageHash: info.OSImageHash[:], KeyProviderInfo: []byte(info.KeyProviderInfo),
	}
	if info.InitScriptHashes != nil {
		f.InitScriptHashes = []record.Hex{}
	}
	for _, h := range info.InitScriptHashes {
		f.InitScriptHashes = append(f.InitScriptHashes, h[:])
	}
	return f
}

// resolvConf names the system's resolvers.
const resolvConf = "/etc/resolv.conf"

// openDomains prepares the lookup of names outside of the gateway's domains.
func (g *gateway) openDomains(context.Context) error {
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
	g.domains = customdomain.New(opts)
	return nil
}
