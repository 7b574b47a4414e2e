package sock

import (
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"sallyport/internal/nonblock"
)

// backlog is enough for every connection of a run to arrive at once; the kernel
// cuts it to net.core.somaxconn.
const backlog = 16 << 10

// Listen opens a non-blocking listener and returns its address.
func Listen(at netip.AddrPort) (int32, netip.AddrPort, error) {
	fd, err := socket(at)
	if err != nil {
		return -1, netip.AddrPort{}, err
	}
	if err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err == nil {
		if errno := nonblock.Bind(fd, at); errno != 0 {
			err = errno
		}
	}
	if err == nil {
		err = unix.Listen(int(fd), backlog)
	}
	var own netip.AddrPort
	if err == nil {
		own, err = nonblock.Addr(fd)
	}
	if err != nil {
		nonblock.Close(fd)
		return -1, netip.AddrPort{}, fmt.Errorf("listen on %s: %w", at, err)
	}
	return fd, own, nil
}

// Connect begins a connection: writable means that it is made, or has failed.
func Connect(to netip.AddrPort) (int32, error) {
	fd, err := socket(to)
	if err != nil {
		return -1, err
	}
	if errno := nonblock.Connect(fd, to); errno != 0 && errno != unix.EINPROGRESS {
		nonblock.Close(fd)
		return -1, fmt.Errorf("connect to %s: %w", to, errno)
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
		nonblock.Close(int32(fd))
		return -1, os.NewSyscallError("setsockopt TCP_NODELAY", err)
	}
	return int32(fd), nil
}
