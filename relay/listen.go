package relay

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"sallyport/internal/nonblock"
)

// listener is one loop's socket for one address. Each loop has its own, and the
// kernel spreads connections among them (SO_REUSEPORT).
type listener struct {
	fd      int32
	addr    netip.AddrPort
	waiting bool // the kernel's queue may have connections
}

// The kernel caps the backlog at net.core.somaxconn.
const backlog = 4096

// Keepalive finds peers that vanished without FIN while nothing is under way:
// after a minute of silence, four probes, 15 s apart.
const (
	keepIdle     = 60
	keepInterval = 15
	keepCount    = 4
)

// listenOn opens the loop's listener for addr.
func (l *loop) listenOn(addr netip.AddrPort) (netip.AddrPort, error) {
	fd, err := bind(addr, true)
	if err != nil {
		return addr, err
	}
	// Accepted sockets inherit these.
	nonblock.SetInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	l.engine.guard(fd)
	if err := unix.Listen(int(fd), backlog); err != nil {
		nonblock.Close(fd)
		return addr, fmt.Errorf("listen on %v: %w", addr, err)
	}
	ln := &listener{fd: fd}
	if ln.addr, err = nonblock.Addr(fd); err == nil {
		err = l.poller.Add(fd, nil, 0, nonblock.Incoming)
	}
	if err != nil {
		nonblock.Close(fd)
		return addr, fmt.Errorf("listen on %v: %w", addr, err)
	}
	l.listen = append(l.listen, ln)
	return ln.addr, nil
}

// probe refuses an address that another process listens on. SO_REUSEPORT would
// let two gateways of one user share the port, each with half of the clients,
// and say nothing.
func probe(addr netip.AddrPort) error {
	if addr.Port() == 0 {
		return nil
	}
	fd, err := bind(addr, false)
	if err != nil {
		return err
	}
	nonblock.Close(fd)
	return nil
}

func bind(addr netip.AddrPort, shared bool) (int32, error) {
	family := unix.AF_INET6
	if addr.Addr().Unmap().Is4() {
		family = unix.AF_INET
	}
	s, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, unix.IPPROTO_TCP)
	if err != nil {
		return -1, fmt.Errorf("listen on %v: %w%s", addr, err, hint(err))
	}
	fd := int32(s)
	nonblock.SetInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
	if family == unix.AF_INET6 {
		// Else [::] would take 0.0.0.0 as well, and a second listener could not.
		nonblock.SetInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1)
	}
	if shared {
		nonblock.SetInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
	}
	if errno := nonblock.Bind(fd, addr); errno != 0 {
		nonblock.Close(fd)
		return -1, fmt.Errorf("listen on %v: %w%s", addr, errno, hint(errno))
	}
	return fd, nil
}

// hint says what to do about an error of bind.
func hint(err error) string {
	switch {
	case errors.Is(err, unix.EADDRINUSE):
		return "; another process listens there (ss -ltnp shows which)"
	case errors.Is(err, unix.EACCES):
		return "; ports below 1024 need CAP_NET_BIND_SERVICE"
	case errors.Is(err, unix.EAFNOSUPPORT):
		return "; the kernel has no IPv6 (ipv6.disable=1?): list an IPv4 address"
	case errors.Is(err, unix.EADDRNOTAVAIL):
		return "; no interface of this host has that address"
	}
	return ""
}

// guard has the kernel find out that a peer vanished. TCP_USER_TIMEOUT, for one
// with bytes under way, is more than the idle time, by two visits of its check: it also
// ends a connection whose peer just reads nothing (tcp_probe_timer: a zero window
// that lasts as long), and how long that may last is what idle says. Were they equal,
// chance would decide whether such an end is called an idle timeout or the peer's reset.
func (e *Engine) guard(fd int32) {
	nonblock.SetInt(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1)
	nonblock.SetInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, keepIdle)
	nonblock.SetInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, keepInterval)
	nonblock.SetInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPCNT, keepCount)
	if idle := e.opts.Timeouts.Idle; idle > 0 {
		nonblock.SetInt(fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int((idle+idle*2/idleChecks)/time.Millisecond))
	}
}
