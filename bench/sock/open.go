package sock

import (
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// backlog is enough for every connection of a run to arrive at once; the kernel
// cuts it to net.core.somaxconn.
const backlog = 16 << 10

// Listen opens a non-blocking listener and tells its address.
func Listen(at netip.AddrPort) (int32, netip.AddrPort, error) {
	fd, err := socket(at)
	if err != nil {
		return -1, netip.AddrPort{}, err
	}
	if err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err == nil {
		err = unix.Bind(int(fd), sockaddr(at))
	}
	if err == nil {
		err = unix.Listen(int(fd), backlog)
	}
	var sa unix.Sockaddr
	if err == nil {
		sa, err = unix.Getsockname(int(fd))
	}
	if err != nil {
		Close(fd)
		return -1, netip.AddrPort{}, fmt.Errorf("listen on %s: %w", at, err)
	}
	return fd, addrPort(sa), nil
}

// Connect begins a connection: writable means that it is made, or has failed.
func Connect(to netip.AddrPort) (int32, error) {
	fd, err := socket(to)
	if err != nil {
		return -1, err
	}
	if err := unix.Connect(int(fd), sockaddr(to)); err != nil && err != unix.EINPROGRESS {
		Close(fd)
		return -1, fmt.Errorf("connect to %s: %w", to, err)
	}
	return fd, nil
}

// Nagle turns TCP_NODELAY off for a socket of [Connect]: a small segment then waits until
// what went before it is acknowledged (RFC 896).
func Nagle(fd int32) error {
	return os.NewSyscallError("setsockopt TCP_NODELAY", unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NODELAY, 0))
}

// Pin locks the goroutine to its thread and the thread to a CPU; a negative one is
// any. The thread ends with the goroutine, which must not unlock it.
func Pin(cpu int) error {
	runtime.LockOSThread()
	// A timer may be 50 µs late by default, which a schedule of requests shows.
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
	shortenSlice()
	if cpu < 0 {
		return nil
	}
	var set unix.CPUSet
	set.Set(cpu)
	if err := unix.SchedSetaffinity(0, &set); err != nil {
		return fmt.Errorf("pin a thread to CPU %d: %w", cpu, err)
	}
	return nil
}

// slice is how long a thread keeps its CPU while another waits for it: the shortest
// that Linux takes.
const slice = 100 * time.Microsecond

// shortenSlice asks for short turns (sched_setattr(2), Linux 6.12). Generator and
// backend share a core, and with the usual 3 ms a reply waits for the end of the
// other's turn: a p99 that is the benchmark's own. Older kernels take it for nothing.
func shortenSlice() {
	attr, err := unix.SchedGetAttr(0, 0)
	if err != nil || attr.Policy != unix.SCHED_NORMAL {
		return
	}
	attr.Runtime = uint64(slice)
	_ = unix.SchedSetAttr(0, attr, 0)
}

func socket(a netip.AddrPort) (int32, error) {
	family := unix.AF_INET
	if !a.Addr().Unmap().Is4() {
		family = unix.AF_INET6
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
		Close(int32(fd))
		return -1, os.NewSyscallError("setsockopt TCP_NODELAY", err)
	}
	return int32(fd), nil
}

func sockaddr(a netip.AddrPort) unix.Sockaddr {
	if ip := a.Addr().Unmap(); ip.Is4() {
		return &unix.SockaddrInet4{Port: int(a.Port()), Addr: ip.As4()}
	}
	return &unix.SockaddrInet6{Port: int(a.Port()), Addr: a.Addr().As16()}
}

func addrPort(sa unix.Sockaddr) netip.AddrPort {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr), uint16(sa.Port))
	}
	return netip.AddrPort{}
}
