// Package guests is the side where guests register: it decides who a guest is, by its
// certificate and the evidence in it, and hands its request to the registry.
//
// A request comes from package rpc. identify.go finds out whose it is, registrar.go makes
// it a request of the registry, and its errors those that a guest may see.
package guests

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"sallyport/config"
	"sallyport/internal/buildinfo"
	"sallyport/internal/listenat"
	"sallyport/internal/vm"
	"sallyport/ratls"
	"sallyport/registry"
	"sallyport/rpc"
	"sallyport/wg"
)

// Options configure an API.
type Options struct {
	Config       *config.Config
	Registry     *registry.Registry
	Appraiser    ratls.Appraiser // of the evidence in guests' certificates
	Certificates rpc.Certificates
	TunnelKey    vm.WGKey // the gateway's own; zero: there is no tunnel
	ClientPort   uint16   // where clients connect
	MaxConns     int
	Log          *slog.Logger
}

// API answers guests. Its methods may be called concurrently.
type API struct {
	identity *rpc.Identity
	server   *rpc.Server
	listener net.Listener
}

var errNoTunnel = errors.New(`[rpc] listen: guests need a tunnel, and [wireguard] mode is "none"`)

// Open reads the API's certificates and listens; nil where [rpc] has no listen address.
func Open(ctx context.Context, o Options) (*API, error) {
	c := o.Config.RPC
	if !c.Listen.IsValid() {
		return nil, nil
	}
	if o.TunnelKey.IsZero() {
		return nil, errNoTunnel
	}
	from := rpc.IdentityOptions{
		Files: files(c), Log: o.Log,
		OnAuthorities: func(roots []*x509.Certificate) { o.Registry.SetAuthorities(fingerprints(roots)) },
	}
	if c.DstackAgent != "" {
		from.Agent = rpc.Agent{Socket: c.DstackAgent, AltNames: []string{c.PublicURL.Hostname()}}
	}
	identity, err := rpc.OpenIdentity(ctx, from)
	if err != nil {
		return nil, err
	}
	l, err := listenat.TCP(ctx, c.Listen)
	if err != nil {
		return nil, fmt.Errorf("[rpc] listen: %w", err)
	}
	o.Log.Info("listening for guests", "address", l.Addr().String())
	return &API{identity: identity, listener: l, server: rpc.New(rpc.Options{
		Identity:  identity,
		Identify:  identifier{ratls.Options{RequireQuote: c.RequireQuote, Appraiser: o.Appraiser}}.identify,
		Registrar: registrar{o.Registry, o.Log},
		Nodes:     o.nodes,
		AppOf:     appOf,
		Public: rpc.Public{
			Domain: o.Config.Domains[0].Name, Port: cmp.Or(c.ExternalPort, o.ClientPort), AgentPort: c.InternalPort, TXTPrefix: o.Config.CustomDomain.Prefix,
		},
		Certificates:   o.Certificates,
		MaxConnections: o.MaxConns, MaxPerSource: max(4, min(512, o.MaxConns/4)),
		Version: buildinfo.Version(), Commit: buildinfo.Commit(),
		Log: o.Log,
	})}, nil
}

// Check returns why Open would refuse the files of [rpc], or nil. It asks no guest agent.
func Check(ctx context.Context, cfg *config.Config) error {
	switch c := cfg.RPC; {
	case !c.Listen.IsValid():
		return nil
	case wg.Mode(cfg.WireGuard.Mode) == wg.ModeNone:
		return errNoTunnel
	case c.DstackAgent != "":
		return nil
	default:
		_, err := rpc.OpenIdentity(ctx, rpc.IdentityOptions{Files: files(c)})
		return err
	}
}

func files(c config.RPC) rpc.Files { return rpc.Files{Cert: c.Cert, Key: c.Key, ClientCA: c.ClientCA} }

// fingerprints returns those of the roots in force.
func fingerprints(roots []*x509.Certificate) []registry.Fingerprint {
	all := make([]registry.Fingerprint, len(roots))
	for i, c := range roots {
		all[i] = sha256.Sum256(c.Raw)
	}
	return all
}

// nodes returns the gateways that a guest connects to: this one.
func (o Options) nodes() []rpc.Node {
	c := o.Config
	n := rpc.Node{Key: o.TunnelKey, Address: c.WireGuard.Address, Endpoint: c.WireGuard.Endpoint.String()}
	if u := c.RPC.PublicURL; u != nil {
		n.URL = u.String()
	}
	return []rpc.Node{n}
}

// Run answers guests until ctx is done, then closes the listener.
func (a *API) Run(ctx context.Context) error {
	parts, ctx := errgroup.WithContext(ctx)
	parts.Go(func() error { return a.identity.Run(ctx) })
	parts.Go(func() error { return a.server.Serve(ctx, a.listener) })
	return parts.Wait()
}

// Close closes the listener of an API that was never run.
func (a *API) Close() { _ = a.listener.Close() }

// Address returns where guests connect.
func (a *API) Address() netip.AddrPort { return a.listener.Addr().(*net.TCPAddr).AddrPort() }

// Roots returns the roots below which guests' certificates must be.
func (a *API) Roots() *x509.CertPool { return a.identity.Roots() }

// Ready returns why guests would not accept the API's certificate, or nil.
func (a *API) Ready() error { return a.identity.Ready() }

// Reload gets the API's certificate again, and reports whether it has changed. The guest
// agent may be asked.
func (a *API) Reload(ctx context.Context) (bool, error) { return a.identity.Reload(ctx) }

// Collectors returns the metrics.
func (a *API) Collectors() []prometheus.Collector { return a.server.Collectors() }
