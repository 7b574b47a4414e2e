// Package source says which client addresses count as one where clients are limited.
package source

import "net/netip"

// Of returns the source of an address: an IPv4 address itself, or the /64 of an IPv6
// address, because one client owns all addresses in it. IPv4 in IPv6 is IPv4, and a
// zone does not count. Clients behind one NAT are one source. The source of the zero
// Addr is the zero Prefix.
func Of(a netip.Addr) netip.Prefix { return Network(a, 32, 64) }

// Network returns the network of an address, with bits4 bits of an IPv4 address or
// bits6 of an IPv6 address: what one owner of several sources has.
func Network(a netip.Addr, bits4, bits6 int) netip.Prefix {
	a = a.Unmap().WithZone("")
	bits := bits4
	if a.Is6() {
		bits = bits6
	}
	p, _ := a.Prefix(bits) // it fails only for bits out of range, and is zero then
	return p
}
