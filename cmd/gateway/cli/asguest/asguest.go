// Package asguest makes this process a guest of a gateway: it joins package guest to
// what registers (rpc) and to what a tunnel is made of (wg). The commands join and demo
// use it.
package asguest

import (
	"context"
	"log/slog"
	"net/netip"

	"sallyport/guest"
	"sallyport/internal/oneline"
	"sallyport/internal/vm"
	"sallyport/rpc"
	"sallyport/wg"
)

// Options say which guest it is. All are needed.
type Options struct {
	Gateways []*rpc.Client // asked in order; the first that grants wins
	Policy   vm.PortPolicy
	Tunnel   wg.Options // without Guest, Address and Log, which Run sets
	Serve    func(ctx context.Context, d guest.Device) error
	Log      *slog.Logger
}

// Run registers the guest, and keeps it registered and its tunnel up until ctx is done.
func Run(ctx context.Context, o Options) error {
	o.Tunnel.Guest, o.Tunnel.Log = true, o.Log
	network := &guest.Network{Serve: o.Serve, Open: func(ctx context.Context, address netip.Prefix) (guest.Device, error) {
		tunnel := o.Tunnel
		tunnel.Address = address
		d, err := wg.Open(ctx, tunnel)
		if err != nil {
			return nil, err
		}
		return device{d}, nil
	}}
	registration := rpc.Registration{Key: o.Tunnel.PrivateKey.Public(), Policy: o.Policy}
	agent := guest.Agent{
		Register: func(ctx context.Context) (guest.Grant, error) { return register(ctx, o.Gateways, registration) },
		Tunnel:   network,
		Log:      o.Log,
	}
	err := agent.Run(ctx)
	return oneline.Join(err, network.Close())
}

// device is a wg.Device as package guest asks for one.
type device struct{ *wg.Device }

func (d device) SetPeer(ctx context.Context, p guest.Peer) error {
	return d.Device.SetPeer(ctx, wg.Peer(p))
}

// register asks the gateways in order. If all fail it returns the first error, as guests
// do: it is that of the gateway that ought to answer.
func register(ctx context.Context, gateways []*rpc.Client, r rpc.Registration) (guest.Grant, error) {
	var first error
	for _, g := range gateways {
		answer, err := g.Register(ctx, r)
		if err == nil {
			var servers []guest.Server
			for _, n := range answer.Servers {
				servers = append(servers, guest.Server{Key: n.Key, Address: n.Address, Endpoint: n.Endpoint})
			}
			return guest.NewGrant(answer.Address, servers)
		}
		if first == nil {
			first = err
		}
	}
	return guest.Grant{}, first
}
