package wg

import (
	"net"
	"net/netip"
)

// The libraries speak net.IPNet and net.UDPAddr, which may hold anything; we
// speak netip. What does not translate becomes an invalid value, never a guess.

func prefixOf(n *net.IPNet) (netip.Prefix, bool) {
	if n == nil {
		return netip.Prefix{}, false
	}
	a, ok := netip.AddrFromSlice(n.IP)
	ones, bits := n.Mask.Size()
	a = a.Unmap()
	if !ok || bits != a.BitLen() {
		return netip.Prefix{}, false
	}
	return netip.PrefixFrom(a, ones), true
}

// prefixesOf keeps the length: a network that does not translate must not let
// the others look like all there are.
func prefixesOf(ns []net.IPNet) []netip.Prefix {
	ps := make([]netip.Prefix, len(ns))
	for i := range ns {
		ps[i], _ = prefixOf(&ns[i])
	}
	return ps
}

func addrPortOf(u *net.UDPAddr) netip.AddrPort {
	if u == nil {
		return netip.AddrPort{}
	}
	ap := u.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}
