package gateway

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"sallyport/certs"
	"sallyport/config"
	"sallyport/customdomain"
	"sallyport/gateway/appraise"
	"sallyport/gateway/guests"
	"sallyport/gateway/issue"
	"sallyport/gateway/route"
	"sallyport/health"
	"sallyport/internal/descriptors"
	"sallyport/internal/oneline"
	"sallyport/internal/selfdial"
	"sallyport/ratls"
	"sallyport/registry"
	"sallyport/registry/store"
	"sallyport/relay"
	"sallyport/wg"
)

// Gateway is one gateway. Its methods may be called concurrently, except for Run and
// Close.
type Gateway struct {
	cfg     *config.Config
	log     *slog.Logger
	started time.Time
	parts   []part // in the order in which they were opened

	// the control plane (control.go)
	store    *store.Bolt
	tunnel   *wg.Device
	budget   descriptors.Budget // how many descriptors each part may have
	health   *health.Monitor
	appraise *appraise.Appraiser
	registry *registry.Registry
	guests   *guests.API // nil: no guest can register

	// the data plane (data.go)
	certs   *certs.Index
	own     *ratls.Renewer         // nil: no domain has a certificate by the gateway's own evidence
	issuer  *issue.Issuer          // nil: no domain has certificates of an authority
	custom  *customdomain.Resolver // nil: names of others are not looked up
	site    *route.Site
	routes  *route.Decider
	relay   *relay.Engine
	clients []netip.AddrPort // where clients connect

	operators net.Listener        // nil: none
	listeners *selfdial.Listeners // all of these, and the name server's: no client is led to one
	draining  atomic.Bool
}

// part is a part of the gateway that has something to end.
type part struct {
	run   func(ctx context.Context) error // until ctx is done; nil: it does not run
	close func() error                    // what is open and has not been run; nil: nothing is
}

// New opens a gateway. Clients may connect from now on; Run serves them. ctx bounds the
// opening alone. log must not block, because the event loops write to it. After an error
// nothing is left open.
func New(ctx context.Context, cfg *config.Config, log *slog.Logger) (*Gateway, error) {
	g := &Gateway{cfg: cfg, log: log, started: time.Now()}
	for _, open := range []func(context.Context) error{ // in the order in which they need each other
		g.openCertificates, g.openStore, g.openIssuer, g.openTunnel, g.openBudget, g.openHealth, g.openAppraiser, g.openRegistry,
		g.openCustomDomains, g.openRoutes, g.openRelay, g.openGuests, g.openAdmin,
	} {
		if err := open(ctx); err != nil {
			return nil, oneline.Join(err, g.Close())
		}
	}
	return g, nil
}

// add notes a part that is open.
func (g *Gateway) add(p part) { g.parts = append(g.parts, p) }

// Close closes a gateway that was never run, the parts that were opened last first. Run
// closes all of it itself.
func (g *Gateway) Close() error {
	var errs []error
	for _, p := range slices.Backward(g.parts) {
		if p.close != nil {
			errs = append(errs, p.close())
		}
	}
	g.parts = nil
	return oneline.Join(errs...)
}

// Run serves until ctx is done, then lets connections end for [proxy.timeouts] drain, and
// then stops the parts that they need. A part that fails ends the gateway: half a gateway
// fails in silence. Run is called once.
//
// After an error parts may still run, if one is stuck: then the process should end.
func (g *Gateway) Run(ctx context.Context) error {
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	parts, background := errgroup.WithContext(background)
	for _, p := range g.parts {
		if p.run != nil {
			parts.Go(func() error { return p.run(background) })
		}
	}
	context.AfterFunc(background, g.relay.Abort)
	context.AfterFunc(ctx, func() {
		g.draining.Store(true)
		g.log.Info("draining", "connections", g.relay.Open(), "limit", g.cfg.Proxy.Timeouts.Drain.String())
	})
	err := g.relay.Run(ctx)
	if g.tunnel.Mode() != wg.ModeNone {
		<-time.After(lastWords)
	}
	stop()
	err = g.wait(parts, err)
	g.log.Info("stopped")
	return err
}

// lastWords is how long the tunnel outlives the connections: their last FINs have
// yet to go through it.
const lastWords = 100 * time.Millisecond

// lastResort is how long the parts may take to stop where a loop is stuck: others may wait
// for it. In kernel mode the interface and its isolation are taken down meanwhile.
const lastResort = 10 * time.Second

// wait waits until the parts have stopped, and closes them. stuck is the error of a relay
// with a loop that is stuck, or nil.
func (g *Gateway) wait(parts *errgroup.Group, stuck error) error {
	ended := make(chan error, 1)
	go func() { ended <- oneline.Join(parts.Wait(), g.Close()) }()
	var late <-chan time.Time // nil: they have all the time
	if stuck != nil {
		late = time.After(lastResort)
	}
	select {
	case err := <-ended:
		return oneline.Join(stuck, err)
	case <-late:
		g.log.Error("stopping takes too long; parts of the gateway are left running", "limit", lastResort.String())
		return stuck
	}
}

// Abort ends every connection at once, where Run lets them end. Run goes on to stop the
// parts.
func (g *Gateway) Abort() { g.relay.Abort() }

// Addresses are where a gateway listens.
type Addresses struct {
	Clients   []netip.AddrPort // in the order of [proxy] listen
	Guests    netip.AddrPort   // zero: there is no API for guests
	Operators netip.AddrPort   // zero: there is no [admin] listener
	DNS       []netip.AddrPort // of the name server for challenges, if there is one
}

// Addresses returns where the gateway listens, with the ports that the kernel chose for
// port 0.
func (g *Gateway) Addresses() Addresses {
	a := Addresses{Clients: g.clients}
	if g.guests != nil {
		a.Guests = g.guests.Address()
	}
	if g.operators != nil {
		a.Operators = g.operators.Addr().(*net.TCPAddr).AddrPort()
	}
	if g.issuer != nil {
		a.DNS = g.issuer.Addresses()
	}
	return a
}
