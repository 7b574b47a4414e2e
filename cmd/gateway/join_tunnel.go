package main

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"sallyport/guest"
	"sallyport/internal/vm"
	"sallyport/wg"
)

// guestTunnel is a machine's WireGuard device. It is made when the first address
// is granted, and made anew with another one.
type guestTunnel struct {
	opts  wg.Options
	serve func(context.Context, *wg.Device) error // what runs on the device until ctx is done

	device *wg.Device
	stop   func() error // ends what runs on device, and waits for it
}

// Apply implements guest.Tunnel.
func (t *guestTunnel) Apply(ctx context.Context, g guest.Grant, _ bool) error {
	network, err := tunnelNetwork(g)
	if err != nil {
		return err
	}
	peers, err := resolve(ctx, g.Servers)
	if err != nil {
		return err
	}
	if t.device != nil && t.opts.Address != network {
		if err := t.close(); err != nil {
			return err
		}
	}
	if t.device == nil {
		t.opts.Address = network
		if err := t.open(ctx); err != nil {
			return err
		}
	}
	// A known peer keeps its endpoint: a server that has moved, or is silent, must
	// be forgotten first.
	if err := t.device.RemovePeersExcept(ctx, nil); err != nil {
		return err
	}
	for _, p := range peers {
		if err := t.device.SetPeer(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

// tunnelNetwork is the machine's address with the smallest network that has all
// its gateways in it.
func tunnelNetwork(g guest.Grant) (netip.Prefix, error) {
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
func resolve(ctx context.Context, servers []guest.Server) ([]wg.Peer, error) {
	var peers []wg.Peer
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
		peers = append(peers, wg.Peer{Key: s.Key, Address: s.Address.Addr(), Endpoint: netip.AddrPortFrom(addrs[0].Unmap(), uint16(n))})
	}
	return peers, nil
}

func (t *guestTunnel) open(ctx context.Context) (err error) {
	if t.device, err = wg.Open(ctx, t.opts); err != nil {
		t.device = nil
		return err
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan error, 1)
	device := t.device
	go func() {
		var parts errgroup.Group // one that ends does not end the other: the tunnel is watched to the end
		parts.Go(func() error { return device.Run(ctx) })
		parts.Go(func() error { return t.serve(ctx, device) })
		done <- parts.Wait()
	}()
	t.stop = func() error {
		cancel()
		return <-done
	}
	return nil
}

// close ends what runs on the device, and the device.
func (t *guestTunnel) close() error {
	if t.device == nil {
		return nil
	}
	err := t.stop()
	if closed := t.device.Close(); err == nil {
		err = closed
	}
	t.device = nil
	return err
}

// LastHandshake implements guest.Tunnel.
func (t *guestTunnel) LastHandshake(ctx context.Context) (newest time.Time, err error) {
	if t.device == nil {
		return newest, nil
	}
	var all map[vm.WGKey]time.Time
	if all, err = t.device.Handshakes(ctx); err != nil {
		return newest, err
	}
	for _, at := range all {
		if at.After(newest) {
			newest = at
		}
	}
	return newest, nil
}
