// Package selfdial finds the addresses that lead back into this process. A client that
// chooses the port of an instance must not reach a listener of this process, which may
// trust connections from its own host.
package selfdial

import (
	"errors"
	"net/netip"

	"golang.org/x/sys/unix"
)

// Listeners are the TCP addresses at which this process listens. Methods may be called
// concurrently once all have been added.
type Listeners struct {
	at     []netip.AddrPort
	tunnel netip.Prefix
}

// New makes an empty set. tunnel is this machine's own address in the tunnel, with the
// network's length: no other address of that network is this machine's, so the
// kernel need not be asked. The zero Prefix means that there is no tunnel.
func New(tunnel netip.Prefix) *Listeners { return &Listeners{tunnel: tunnel} }

// Add adds an address as it is bound: with the port that the kernel chose, and
// unspecified if it is any of this machine's.
func (l *Listeners) Add(at ...netip.AddrPort) {
	for _, a := range at {
		l.at = append(l.at, netip.AddrPortFrom(a.Addr().Unmap().WithZone(""), a.Port()))
	}
}

// Contain reports whether a connection to an address ends at one of the listeners. Only
// for a port that one of them has it may ask the kernel, which takes microseconds and
// never blocks.
func (l *Listeners) Contain(to netip.AddrPort) bool {
	addr := to.Addr().Unmap().WithZone("")
	for _, at := range l.at {
		switch {
		case at.Port() != to.Port():
		case at.Addr() == addr, addr.IsUnspecified(): // which the kernel takes for loopback
			return true
		case at.Addr().IsUnspecified() && l.isOurs(addr): // [::] may take IPv4 as well
			return true
		}
	}
	return false
}

// isOurs reports whether addr is one of this machine's.
func (l *Listeners) isOurs(addr netip.Addr) bool {
	switch {
	case addr.IsLoopback():
		return true
	case l.tunnel.IsValid() && l.tunnel.Contains(addr):
		return addr == l.tunnel.Addr()
	}
	source, err := sourceFor(addr)
	if errors.Is(err, unix.ENETUNREACH) || errors.Is(err, unix.EHOSTUNREACH) || errors.Is(err, unix.EAFNOSUPPORT) {
		return false // there is no way to it at all
	}
	return err != nil || source == addr
}

// sourceFor is the address from which this machine would send to addr: addr itself, if
// it is one of this machine's. To connect a socket for datagrams sends nothing.
func sourceFor(addr netip.Addr) (netip.Addr, error) {
	const discard = 9 // any port will do
	var to unix.Sockaddr = &unix.SockaddrInet6{Addr: addr.As16(), Port: discard}
	family := unix.AF_INET6
	if addr.Is4() {
		to, family = &unix.SockaddrInet4{Addr: addr.As4(), Port: discard}, unix.AF_INET
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return netip.Addr{}, err
	}
	defer unix.Close(fd)
	if err := unix.Connect(fd, to); err != nil {
		return netip.Addr{}, err
	}
	name, err := unix.Getsockname(fd)
	switch a := name.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrFrom4(a.Addr), nil
	case *unix.SockaddrInet6:
		return netip.AddrFrom16(a.Addr), nil
	}
	return netip.Addr{}, err
}
