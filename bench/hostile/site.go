package hostile

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"time"

	"sallyport/bench/attack"
	"sallyport/bench/backend"
	"sallyport/bench/netns"
	"sallyport/bench/peers"
	"sallyport/internal/oneline"
)

// The addresses of the site. Nobody else is in these namespaces, so they are fixed.
const (
	edgeAddress   = "192.0.2.1" // RFC 5737: for examples
	insideAddress = "192.0.2.2"
	domain        = "gw.test"
	ownName       = "gateway." + domain
)

// attackers is where attacks come from. It is not the address of honest clients, because a
// proxy's limits count by address.
var attackers = netip.MustParseAddr("127.0.0.2")

// attackTime is more than any attack takes: it is ended.
const attackTime = 5 * time.Minute

// descriptors is a proxy's limit.
const descriptors = 4096

// site is a proxy's surroundings: the backend behind a cable, and clients beside it.
type site struct {
	edge, inside *netns.Namespace
	peers        *peers.Site
	backend      *backend.Server
	self         string // Options.Self
	loadCPU      int
	duration     time.Duration
	dropped      *dropped
	stop         func() error // the backend
}

// open makes the site, with its backend but without a proxy.
func open(ctx context.Context, o Options) (s *site, err error) {
	s = &site{stop: func() error { return nil }, self: o.Self, loadCPU: o.LoadCPU, duration: o.Duration}
	defer func() {
		if err != nil {
			err = oneline.Join(err, s.close())
		}
	}()
	if s.edge, err = netns.New(ctx); err != nil {
		return s, err
	}
	if s.inside, err = netns.New(ctx); err != nil {
		return s, err
	}
	err = netns.Wire(ctx, netns.End{In: s.edge, Link: "inside", Address: edgeAddress + "/24"}, netns.End{In: s.inside, Link: "edge", Address: insideAddress + "/24"})
	if err != nil {
		return s, err
	}
	dir, err := os.MkdirTemp("", "gateway-bench-")
	if err != nil {
		return s, err
	}
	s.peers = &peers.Site{Dir: dir, Gateway: o.Gateway, CPU: o.ProxyCPU, Descriptors: descriptors}
	if err := s.peers.Certify(domain); err != nil {
		return s, err
	}
	return s, s.serve(ctx)
}

// serve runs the backend inside until the site is closed.
func (s *site) serve(ctx context.Context) error {
	err := s.inside.Do(func() (err error) {
		s.backend, err = backend.Listen(netip.AddrPortFrom(netip.MustParseAddr(insideAddress), 0))
		return err
	})
	if err != nil {
		return err
	}
	s.peers.Backend = s.backend.Addr()
	if s.dropped, err = s.drop(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- s.backend.Run(ctx, s.loadCPU) }()
	s.stop = func() error {
		cancel()
		return <-ended
	}
	return nil
}

// start starts a proxy at the edge.
func (s *site) start(ctx context.Context, f peers.Form) (p *peers.Process, err error) {
	err = s.edge.Do(func() error {
		p, err = s.peers.Start(ctx, f, "")
		return err
	})
	return p, err
}

// aim completes the options of an attack on a proxy.
func (s *site) aim(a *assault, proxy string, p *peers.Process) attack.Options {
	o := a.attack
	o.Target, o.ServerName, o.Source, o.Duration = p.Passthrough, s.peers.Passed(), attackers, attackTime
	if a.ended || a.own {
		o.Target, o.ServerName = p.Terminated, s.peers.Ended()
	}
	if a.dropped {
		o.ServerName = fmt.Sprintf("app-%ds.%s", s.dropped.port, domain)
	}
	if a.own && proxy == peers.Gateway {
		o.ServerName = ownName
	}
	return o
}

func (s *site) close() error {
	s.dropped.close()
	err := oneline.Join(s.stop(), s.edge.Close(), s.inside.Close())
	if s.peers != nil {
		err = oneline.Join(err, os.RemoveAll(s.peers.Dir))
	}
	return err
}
