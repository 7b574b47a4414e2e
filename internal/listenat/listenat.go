// Package listenat gives addresses to listen on their meaning, the same wherever this
// program listens: 0.0.0.0 is IPv4 alone, and [::] is IPv6 and IPv4, whatever the
// system's default is. On a kernel without IPv6 (ipv6.disable=1), [::] is IPv4.
//
// The system and net.Listen give them other meanings: net.Listen takes IPv6 too for
// 0.0.0.0, and fails for [::] without IPv6; a bare socket has IPv4 or not as the
// sysctl bindv6only says.
package listenat

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"
)

// HasIPv6 reports whether the kernel has IPv6 sockets.
func HasIPv6() bool {
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if errors.Is(err, unix.EAFNOSUPPORT) {
		return false
	}
	if err == nil {
		_ = unix.Close(fd)
	}
	return true
}

// Resolve returns the addresses for sockets of one family each that all together
// listen on what a list means. An IPv4 address with the port of a [::] takes the
// IPv4 side from it, so that the list ["0.0.0.0:443", "[::]:443"] is what it looks
// like; else [::] becomes two. Port 0 would be two ports: there [::] stays IPv6 alone
// where the kernel has it.
func Resolve(list []netip.AddrPort) []netip.AddrPort { return resolve(list, HasIPv6()) }

func resolve(list []netip.AddrPort, ipv6 bool) (all []netip.AddrPort) {
	for _, a := range list {
		four, both := IPv4Of(a, list)
		if both && (!ipv6 || a.Port() != 0) {
			all = append(all, four)
		}
		if ipv6 || a.Addr() != netip.IPv6Unspecified() {
			all = append(all, a)
		}
	}
	return all
}

// IPv4Of returns the IPv4 address that a, one of list, stands for besides itself. It
// reports whether there is one.
func IPv4Of(a netip.AddrPort, list []netip.AddrPort) (netip.AddrPort, bool) {
	named := func(b netip.AddrPort) bool { return b.Addr().Is4() && b.Port() == a.Port() }
	if a.Addr() != netip.IPv6Unspecified() || slices.ContainsFunc(list, named) {
		return netip.AddrPort{}, false
	}
	return netip.AddrPortFrom(netip.IPv4Unspecified(), a.Port()), true
}

// TCP listens on one address, by one socket.
func TCP(ctx context.Context, a netip.AddrPort) (net.Listener, error) { return tcp(ctx, a, HasIPv6()) }

func tcp(ctx context.Context, a netip.AddrPort, ipv6 bool) (net.Listener, error) {
	if four, both := IPv4Of(a, nil); both && !ipv6 {
		a = four
	}
	if a.Addr() == netip.IPv6Unspecified() {
		return bind(ctx, "tcp", a)
	}
	return ofFamily(ctx, a)
}

// TCPs listens on what a list means, by a socket for each of its addresses' families.
func TCPs(ctx context.Context, list []netip.AddrPort) (all []net.Listener, err error) {
	for _, a := range Resolve(list) {
		l, err := ofFamily(ctx, a)
		if err != nil {
			for _, l := range all {
				_ = l.Close() // nobody has been accepted
			}
			return nil, err
		}
		all = append(all, l)
	}
	return all, nil
}

func ofFamily(ctx context.Context, a netip.AddrPort) (net.Listener, error) {
	if a.Addr().Is4() {
		return bind(ctx, "tcp4", a)
	}
	return bind(ctx, "tcp6", a)
}

func bind(ctx context.Context, network string, a netip.AddrPort) (net.Listener, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, network, a.String())
	return l, Advise(err)
}

// Advise says what to do about an error of listening that the kernel's lack of IPv6
// explains.
func Advise(err error) error {
	if errors.Is(err, unix.EAFNOSUPPORT) {
		return fmt.Errorf("%w: the kernel has no IPv6 (ipv6.disable=1?): listen on an IPv4 address", err)
	}
	return err
}
