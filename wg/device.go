package wg

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"sallyport/internal/oneline"
	"sallyport/internal/vm"
)

// Device is one WireGuard device and what is known about its peers. All methods may
// be called concurrently, except Run, which is called once.
type Device struct {
	o          Options
	mode       Mode
	public     vm.WGKey
	listenPort atomic.Int32
	backend    backend
	metrics    *metrics
	look       time.Duration // guardEvery
	count      atomic.Int64  // peers that are set

	// turn holds one token: its holder may talk to the device and use what
	// follows. It only puts changes in order, because a device takes one at a time;
	// it is a channel so that waiting ends with the caller's context. The data
	// plane never needs it.
	turn      chan struct{}
	closed    bool
	peers     map[vm.WGKey]*peer
	owners    map[netip.Addr]vm.WGKey
	missing   map[vm.WGKey]bool           // peers that an interface made again does not have yet
	endpoints map[vm.WGKey]netip.AddrPort // last seen, or restored and not seen yet
	unsaved   bool                        // endpoints changed since they were saved
	dumped    time.Time                   // when last dumped
	repairs   repairs
	fault     string // what was wrong with the tunnel when Run looked last
}

// peer is one peer of the device.
type peer struct {
	address   netip.Addr     // not valid: to be applied again
	given     netip.AddrPort // the endpoint that SetPeer named, if it did
	handshake handshake
}

var errClosed = fmt.Errorf("wg: device: %w", net.ErrClosed)

// readyTimeout bounds how long Ready waits for its turn.
const readyTimeout = time.Second

// Open makes the device, isolates it, and brings it up without peers. A kernel
// interface that an earlier gateway with the same key left behind is adopted
// with its peers, so that their sessions go on: call RemovePeersExcept before
// the first SetPeer. Errors say what is wrong and what to do.
func Open(ctx context.Context, o Options) (*Device, error) {
	return open(ctx, o, openers())
}

func open(ctx context.Context, o Options, by map[Mode]opener) (*Device, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("wg: open: %w", err)
	}
	d := &Device{
		o: o, metrics: newMetrics(), look: guardEvery, turn: make(chan struct{}, 1),
		peers: make(map[vm.WGKey]*peer), owners: make(map[netip.Addr]vm.WGKey),
	}
	if !o.PrivateKey.IsZero() {
		d.public = o.PrivateKey.Public()
	}
	if d.endpoints, err = loadEndpoints(o.EndpointsFile, o.Log); err != nil {
		return nil, err
	}
	if d.backend, d.mode, err = choose(o, by); err != nil {
		return nil, err
	}
	if err := d.adopt(); err != nil {
		return nil, oneline.Join(err, d.backend.close())
	}
	logOpened(o.Log, d)
	return d, nil
}

// adopt takes over the peers that the device has already.
func (d *Device) adopt() error {
	s, err := d.backend.dump()
	if err != nil {
		return fmt.Errorf("wg: first dump: %w", err)
	}
	d.listenPort.Store(int32(s.listenPort)) //nolint:gosec // a port
	for key, p := range s.peers {
		d.peers[key] = &peer{}
		d.claim(key, p.address)
	}
	d.count.Store(int64(len(d.peers)))
	d.observe(s, time.Now())
	return nil
}

// Mode is the mode in use, never auto.
func (d *Device) Mode() Mode { return d.mode }

// PublicKey is the device's own key; zero in mode none without a private key.
func (d *Device) PublicKey() vm.WGKey { return d.public }

// Name is the name of the interface.
func (d *Device) Name() string { return d.o.Interface }

// Address is the device's own address, with the tunnel network.
func (d *Device) Address() netip.Prefix { return d.o.Address }

// ListenPort is the UDP port in use.
func (d *Device) ListenPort() int { return int(d.listenPort.Load()) }

// Dial opens a TCP connection to a peer: through a netstack device, or by a socket
// that is bound to the interface. In mode none there is no tunnel, and Dial is an
// error.
func (d *Device) Dial(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	return d.backend.dial(ctx, to)
}

// Listen accepts TCP connections from the tunnel on a netstack device of a
// guest. A gateway serves nothing to its guests: there it is an error.
func (d *Device) Listen(at netip.AddrPort) (net.Listener, error) {
	if !d.o.Guest {
		return nil, errors.New("wg: a gateway does not listen inside the tunnel")
	}
	return d.backend.listen(at)
}

// Ready returns nil if the device can carry traffic, and else the reason.
func (d *Device) Ready() error {
	ctx, cancel := context.WithTimeout(context.Background(), readyTimeout)
	defer cancel()
	return d.inTurn(ctx, d.ready)
}

func (d *Device) ready() error {
	if err := d.backend.ready(); err != nil {
		return err
	}
	if n := len(d.missing); n > 0 {
		return fmt.Errorf("wg: interface %s was created again and still lacks %d peers", d.o.Interface, n)
	}
	return nil
}

// Close removes the interface, its isolation and its socket, and waits for what
// Open started. Stop Run before. A second call does nothing.
func (d *Device) Close() error {
	err := d.inTurn(context.Background(), func() error {
		d.closed = true
		return d.backend.close()
	})
	if errors.Is(err, errClosed) {
		return nil
	}
	return err
}

// inTurn runs f when no other call talks to the device.
func (d *Device) inTurn(ctx context.Context, f func() error) error {
	select {
	case d.turn <- struct{}{}:
		defer func() { <-d.turn }()
	case <-ctx.Done():
		return fmt.Errorf("wg: waiting for the device: %w", ctx.Err())
	}
	if d.closed {
		return errClosed
	}
	return f()
}
