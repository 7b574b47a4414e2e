package main

import (
	"context"
	"net"
	"net/netip"

	"sallyport/internal/selfdial"
	"sallyport/router"
	"sallyport/wg"
)

// The gateway never dials itself. With [wireguard] mode "none" an instance's address may
// be one of this machine's, and the name chooses the port: <app>-9901 was [admin] for
// the whole internet. The other modes dial tunnel addresses alone, and are held to the
// same.

// noteListeners notes where this process listens, before the first client is served.
func (g *gateway) noteListeners(context.Context) error {
	var tunnel netip.Prefix
	if g.tunnel.Mode() != wg.ModeNone {
		tunnel = g.cfg.WireGuard.Address
	}
	g.listeners = selfdial.New(tunnel)
	g.listeners.Add(g.addrs...)
	if g.issuer != nil {
		g.listeners.Add(g.issuer.Addresses()...)
	}
	if g.rpc != nil {
		g.listeners.Add(boundTo(g.rpc.listener))
	}
	if g.adminAt != nil {
		g.listeners.Add(boundTo(g.adminAt))
	}
	return nil
}

func boundTo(l net.Listener) netip.AddrPort { return l.Addr().(*net.TCPAddr).AddrPort() }

// leaveOutOwn takes those candidates out of a decision whose address and port are a
// listener of this process. It reports whether others are left.
func (g *gateway) leaveOutOwn(decided *router.Decision) bool {
	left := 0
	for _, c := range decided.Candidates[:decided.N] {
		if !g.listeners.Contain(netip.AddrPortFrom(c.Instance.Addr, decided.Port)) {
			decided.Candidates[left] = c
			left++
		}
	}
	decided.N = left
	return left > 0
}
