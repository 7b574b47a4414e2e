package wg

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"time"

	"sallyport/internal/vm"
)

// backend is a device of one kind. Its calls come one at a time, but watches, bind,
// dial and listen at any time.
type backend interface {
	apply(change) error
	dump() (state, error)
	ready() error               // decides also whether bind and dial are open
	restore() (restored, error) // puts back what another program took away
	watches() []watch           // what says when restore may have to do something
	bind(fd int) error
	dial(context.Context, netip.AddrPort) (net.Conn, error)
	listen(netip.AddrPort) (net.Listener, error)
	close() error // removes what open made
}

// A watch calls changed after each change that it hears of, until ctx ends.
type watch func(ctx context.Context, changed func()) error

// keepalive is what both ends of a dstack tunnel send: it holds the NAT mapping
// of a guest open, and makes it shake hands every two minutes.
const keepalive = 25 * time.Second

// change is one step: a peer removed, or set to have this address and keepalive.
type change struct {
	key      vm.WGKey
	remove   bool
	address  netip.Addr
	endpoint netip.AddrPort // not valid: leave what the device has
}

// state is one dump.
type state struct {
	listenPort int
	peers      map[vm.WGKey]peerState
}

type peerState struct {
	// address is the zero Addr unless the peer is exactly as a change makes it:
	// one IPv4 address, our keepalive.
	address   netip.Addr
	endpoint  netip.AddrPort // not valid: not learnt yet
	handshake time.Time      // wall clock; zero: never
}

// addressOf is the address of a peer that is as a change makes it.
func addressOf(allowed []netip.Prefix, interval time.Duration) netip.Addr {
	if len(allowed) != 1 || !allowed[0].Addr().Is4() || !allowed[0].IsSingleIP() || interval != keepalive {
		return netip.Addr{}
	}
	return allowed[0].Addr()
}

var (
	// errNotPossible marks what this host or this process lacks: auto goes on to
	// the next mode. Any other error (a name or a port in use) is for the operator.
	errNotPossible = errors.New("not possible here")

	errNoSockets   = errors.New("wg: only mode netstack has sockets of its own: use those of the system")
	errNoKernelWay = errors.New("wg: in this mode no socket of the system can be bound to the tunnel")
)

type opener func(Options) (backend, error)

func openers() map[Mode]opener {
	return map[Mode]opener{
		ModeKernel:    func(o Options) (backend, error) { return openTunnel(o, kernelMaker()) },
		ModeUserspace: func(o Options) (backend, error) { return openTunnel(o, userspaceMaker()) },
		ModeNetstack:  openNetstack,
		ModeNone:      func(Options) (backend, error) { return &noTunnel{}, nil },
	}
}

// choose opens the device of o.Mode, or for auto the best that is possible.
func choose(o Options, open map[Mode]opener) (backend, Mode, error) {
	if o.Mode != ModeAuto {
		b, err := open[o.Mode](o)
		return b, o.Mode, wrapMode(o.Mode, err)
	}
	var passed []string
	for _, m := range []Mode{ModeKernel, ModeUserspace, ModeNetstack} {
		b, err := open[m](o)
		if err == nil {
			o.Log.Info("wireguard mode chosen", "mode", string(m), "passed_over", strings.Join(passed, "; "))
			return b, m, nil
		}
		err = wrapMode(m, err)
		if !errors.Is(err, errNotPossible) {
			return nil, "", err
		}
		passed = append(passed, err.Error())
	}
	return nil, "", fmt.Errorf("wg: no mode works: %s", strings.Join(passed, "; "))
}

func wrapMode(m Mode, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("wg: mode %s: %w", m, err)
}

func portInUse(port int, err error) error {
	return fmt.Errorf("UDP port %d is in use: stop what listens there (ss -lunp), or change [wireguard] listen_port: %w", port, err)
}

// noTunnel is the mode none. Every peer shakes hands at every dump, because
// whatever is not behind a tunnel counts as healthy.
type noTunnel struct{ peers map[vm.WGKey]netip.Addr }

func (n *noTunnel) apply(c change) error {
	if c.remove {
		delete(n.peers, c.key)
		return nil
	}
	if n.peers == nil {
		n.peers = make(map[vm.WGKey]netip.Addr)
	}
	n.peers[c.key] = c.address
	return nil
}

func (n *noTunnel) dump() (state, error) {
	s := state{peers: make(map[vm.WGKey]peerState, len(n.peers))}
	for k, a := range n.peers {
		s.peers[k] = peerState{address: a, handshake: time.Now()}
	}
	return s, nil
}

func (n *noTunnel) ready() error               { return nil }
func (n *noTunnel) restore() (restored, error) { return restored{}, nil }

func (n *noTunnel) watches() []watch { return nil }

func (n *noTunnel) bind(int) error { return errNoKernelWay }
func (n *noTunnel) close() error   { return nil }

func (n *noTunnel) dial(context.Context, netip.AddrPort) (net.Conn, error) {
	return nil, errNoSockets
}

func (n *noTunnel) listen(netip.AddrPort) (net.Listener, error) { return nil, errNoSockets }

// logOpened says once what the operator will look for.
func logOpened(log *slog.Logger, d *Device) {
	if d.mode == ModeNone {
		log.Warn("no tunnel: instances are dialled directly and all count as healthy; for benchmarks and development only", "mode", string(d.mode))
		return
	}
	log.Info("wireguard device is up", "mode", string(d.mode), "interface", d.o.Interface,
		"listen_port", d.ListenPort(), "address", d.o.Address.String(), "public_key", d.public.String())
}
