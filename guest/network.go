package guest

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"sallyport/internal/vm"
)

// Device is a CVM's end of a tunnel.
type Device interface {
	Address() netip.Prefix
	SetPeer(ctx context.Context, p Peer) error
	RemovePeersExcept(ctx context.Context, keep []vm.WGKey) error
	Handshakes(ctx context.Context) (map[vm.WGKey]time.Time, error)

	// Listen listens in the tunnel. Only a device without an interface supports it.
	Listen(at netip.AddrPort) (net.Listener, error)

	// Run maintains the device until ctx is done.
	Run(ctx context.Context) error
	Close() error
}

// Peer is a gateway as a Device knows it.
type Peer struct {
	Key      vm.WGKey
	Address  netip.Addr // in the tunnel
	Endpoint netip.AddrPort
}

// Network is a CVM's tunnel. It opens a device when the first address is granted, and
// another one for another address. Its methods may not be called concurrently.
type Network struct {
	// Open opens a device with this address.
	Open func(ctx context.Context, address netip.Prefix) (Device, error)

	// Serve runs on each device until ctx is done.
	Serve func(ctx context.Context, d Device) error

	device Device       // nil: none
	stop   func() error // ends what runs on device, and waits for it
}

// Apply implements Tunnel.
func (n *Network) Apply(ctx context.Context, g Grant, _ bool) error {
	address, err := prefixOf(g)
	if err != nil {
		return err
	}
	peers, err := resolve(ctx, g.Servers)
	if err != nil {
		return err
	}
	if n.device != nil && n.device.Address() != address {
		if err := n.Close(); err != nil {
			return err
		}
	}
	if n.device == nil {
		if err := n.open(ctx, address); err != nil {
			return err
		}
	}
	// A known peer keeps its endpoint: a server that has moved, or is silent, must
	// be forgotten first.
	if err := n.device.RemovePeersExcept(ctx, nil); err != nil {
		return err
	}
	for _, p := range peers {
		if err := n.device.SetPeer(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

// prefixOf returns the CVM's address with the smallest network that has all its
// gateways in it.
func prefixOf(g Grant) (netip.Prefix, error) {
	const widest, narrowest = 8, 30
	for bits := narrowest; bits >= widest; bits-- {
		p := netip.PrefixFrom(g.Address, bits)
		all := true
		for _, s := range g.Servers {
			all = all && p.Contains(s.Address.Addr())
		}
		if all {
			return p, nil
		}
	}
	return netip.Prefix{}, fmt.Errorf("address %v and the gateways' are in no network of /%d or smaller", g.Address, widest)
}

// resolve finds the servers' endpoints.
func resolve(ctx context.Context, servers []Server) ([]Peer, error) {
	var peers []Peer
	for _, s := range servers {
		host, port, err := net.SplitHostPort(s.Endpoint)
		if err != nil {
			return nil, err
		}
		addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		if err != nil {
			return nil, fmt.Errorf("gateway's endpoint %s: %w", s.Endpoint, err)
		}
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil {
			return nil, fmt.Errorf("gateway's endpoint %s: %w", s.Endpoint, err)
		}
		peers = append(peers, Peer{Key: s.Key, Address: s.Address.Addr(), Endpoint: netip.AddrPortFrom(addrs[0].Unmap(), uint16(n))})
	}
	return peers, nil
}

func (n *Network) open(ctx context.Context, address netip.Prefix) error {
	device, err := n.Open(ctx, address)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan error, 1)
	go func() {
		var parts errgroup.Group // one that ends does not end the other: the tunnel is watched to the end
		parts.Go(func() error { return device.Run(ctx) })
		parts.Go(func() error { return n.Serve(ctx, device) })
		done <- parts.Wait()
	}()
	n.device = device
	n.stop = func() error {
		cancel()
		return <-done
	}
	return nil
}

// Close ends what runs on the device, and the device.
func (n *Network) Close() error {
	if n.device == nil {
		return nil
	}
	err := n.stop()
	if closed := n.device.Close(); err == nil {
		err = closed
	}
	n.device = nil
	return err
}

// LastHandshake implements Tunnel.
func (n *Network) LastHandshake(ctx context.Context) (newest time.Time, err error) {
	if n.device == nil {
		return newest, nil
	}
	all, err := n.device.Handshakes(ctx)
	if err != nil {
		return newest, err
	}
	for _, at := range all {
		if at.After(newest) {
			newest = at
		}
	}
	return newest, nil
}
