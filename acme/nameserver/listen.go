package nameserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"

	"sallyport/internal/oneline"
)

// socket is an address that the server listens on.
type socket struct {
	packets  *net.UDPConn
	listener *net.TCPListener
}

// Listen opens all addresses of the options, or none and returns an error. It returns
// the addresses with port 0 replaced. Serve closes them.
func (s *Server) Listen(ctx context.Context) ([]netip.AddrPort, error) {
	var bound []netip.AddrPort
	for _, addr := range s.o.Listen {
		so, err := openSocket(ctx, addr)
		if err != nil {
			s.close()
			return nil, fmt.Errorf("nameserver: listen on %s: %w", addr, advise(err))
		}
		s.sockets = append(s.sockets, so)
		bound = append(bound, so.listener.Addr().(*net.TCPAddr).AddrPort())
	}
	return bound, nil
}

func (s *Server) close() {
	for _, so := range s.sockets {
		_ = so.packets.Close() // they have nothing left to lose
		_ = so.listener.Close()
	}
	s.sockets = nil
}

// openSocket opens an address by UDP and TCP. For port 0 the port that one of them gets
// may be taken for the other: then it tries another one.
func openSocket(ctx context.Context, addr netip.AddrPort) (socket, error) {
	const tries = 10
	for try := 1; ; try++ {
		so, err := openBoth(ctx, addr)
		if err == nil || addr.Port() != 0 || try == tries || !errors.Is(err, syscall.EADDRINUSE) {
			return so, err
		}
	}
}

func openBoth(ctx context.Context, addr netip.AddrPort) (socket, error) {
	// By family: so [::] does not take what belongs to 0.0.0.0.
	family := "4"
	if addr.Addr().Is6() {
		family = "6"
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp"+family, addr.String())
	if err != nil {
		return socket{}, err
	}
	at := netip.AddrPortFrom(addr.Addr(), l.Addr().(*net.TCPAddr).AddrPort().Port())
	c := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error { return configure(c, addr.Addr()) }}
	p, err := c.ListenPacket(ctx, "udp"+family, at.String())
	if err != nil {
		l.Close()
		return socket{}, err
	}
	return socket{p.(*net.UDPConn), l.(*net.TCPListener)}, nil
}

// receiveBuffer holds some 5,000 queries: a burst while this process does not run.
const receiveBuffer = 4 << 20

// configure sets up a socket for datagrams.
func configure(c syscall.RawConn, addr netip.Addr) (err error) {
	control := c.Control(func(descriptor uintptr) {
		fd := int(descriptor)
		// The size is a wish: FORCE needs CAP_NET_ADMIN, the other is cut to the
		// system's net.core.rmem_max.
		if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, receiveBuffer) != nil {
			err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, receiveBuffer)
		}
		// PKTINFO gives the address that a query went to. PMTUDISC_OMIT ignores forged
		// messages about a path's MTU, which serve to cut answers into fragments.
		level, info, discover, omit := unix.IPPROTO_IP, unix.IP_PKTINFO, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_OMIT
		if addr.Is6() {
			level, info, discover, omit = unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_OMIT
		}
		err = oneline.Join(err,
			unix.SetsockoptInt(fd, level, info, 1),
			unix.SetsockoptInt(fd, level, discover, omit),
			unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RXQ_OVFL, 1))
	})
	return oneline.Join(control, err)
}

// advise adds to err what to do about it.
func advise(err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("%w: another DNS server listens there (find it with: ss -lntup 'sport = :53'); "+
			"if it is systemd-resolved, listen on the machine's public address instead of all, or set DNSStubListener=no in resolved.conf", err)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("%w: ports below 1024 need root or CAP_NET_BIND_SERVICE "+
			"(AmbientCapabilities= of systemd, setcap cap_net_bind_service+ep)", err)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("%w: this machine has no such address; behind NAT, listen on the private address or on 0.0.0.0", err)
	}
	return err
}
