package nonblock

import (
	"net/netip"
	"slices"
	"unsafe"

	"golang.org/x/sys/unix"
)

// calls are the system calls that this package makes raw.
var calls = []int{
	unix.SYS_RECVFROM, unix.SYS_SENDTO, unix.SYS_SPLICE, unix.SYS_ACCEPT4, unix.SYS_CONNECT, unix.SYS_BIND, unix.SYS_SHUTDOWN,
	unix.SYS_CLOSE, unix.SYS_SETSOCKOPT, unix.SYS_GETSOCKOPT, unix.SYS_GETSOCKNAME, unix.SYS_IOCTL, unix.SYS_EPOLL_PWAIT,
}

// Raw reports whether this package makes the system call of that number raw. The runtime
// cannot stop a goroutine whose thread is in one.
func Raw(number int) bool { return slices.Contains(calls, number) }

// EINTR is retried everywhere, because the runtime preempts goroutines by a signal.

// Read reads from a socket. It returns 0 bytes with an error. It calls recvfrom, which
// spares the kernel what read does for files, 2 % of an exchange of 64 bytes.
func Read(fd int32, p []byte) (int, unix.Errno) {
	if len(p) == 0 {
		return 0, 0
	}
	for {
		n, _, e := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)), 0, 0, 0)
		if e != unix.EINTR {
			return max(int(n), 0), e
		}
	}
}

// Send writes to a socket and returns how much it took: 0 with an error. MSG_NOSIGNAL
// spares the process a SIGPIPE for each peer that is gone.
func Send(fd int32, p []byte) (int, unix.Errno) {
	if len(p) == 0 {
		return 0, 0
	}
	for {
		n, _, e := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)), unix.MSG_NOSIGNAL, 0, 0)
		if e != unix.EINTR {
			return max(int(n), 0), e
		}
	}
}

// Splice moves up to n bytes between a socket and a pipe and returns how many it moved: 0
// with an error. SPLICE_F_MORE is never set: it made Go's first splice hold the last bytes
// of a message for 200 ms (golang.org/issue/10948).
func Splice(from, to int32, n int) (int, unix.Errno) {
	const flags = unix.SPLICE_F_MOVE | unix.SPLICE_F_NONBLOCK
	for {
		m, _, e := unix.RawSyscall6(unix.SYS_SPLICE, uintptr(from), 0, uintptr(to), 0, uintptr(n), flags)
		if e != unix.EINTR {
			return max(int(m), 0), e
		}
	}
}

// Accept takes one connection from a listener, non-blocking and close-on-exec, and returns
// the address of its other end.
func Accept(fd int32) (int32, netip.AddrPort, unix.Errno) {
	var sa unix.RawSockaddrAny
	size := uint32(unix.SizeofSockaddrAny)
	for {
		n, _, e := unix.RawSyscall6(unix.SYS_ACCEPT4, uintptr(fd), uintptr(unsafe.Pointer(&sa)),
			uintptr(unsafe.Pointer(&size)), unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0, 0)
		if e == unix.EINTR {
			continue
		}
		if e != 0 {
			return -1, netip.AddrPort{}, e
		}
		return int32(n), addrPort(&sa), 0
	}
}

// Connect starts a connection; EINPROGRESS is the ordinary answer. The socket is writable
// when it is made or has failed, which [Error] says.
func Connect(fd int32, to netip.AddrPort) unix.Errno {
	var sa unix.RawSockaddrAny
	size := rawSockaddr(&sa, to)
	for {
		_, _, e := unix.RawSyscall(unix.SYS_CONNECT, uintptr(fd), uintptr(unsafe.Pointer(&sa)), size)
		if e != unix.EINTR {
			return e
		}
	}
}

// Bind gives a socket its own address.
func Bind(fd int32, at netip.AddrPort) unix.Errno {
	var sa unix.RawSockaddrAny
	size := rawSockaddr(&sa, at)
	_, _, e := unix.RawSyscall(unix.SYS_BIND, uintptr(fd), uintptr(unsafe.Pointer(&sa)), size)
	return e
}

// ShutdownWrite ends a stream towards the peer, which reads EOF.
func ShutdownWrite(fd int32) {
	_, _, _ = unix.RawSyscall(unix.SYS_SHUTDOWN, uintptr(fd), unix.SHUT_WR, 0)
}

// Close closes a descriptor. It does not retry EINTR: on Linux the descriptor is gone in
// any case.
func Close(fd int32) { _, _, _ = unix.RawSyscall(unix.SYS_CLOSE, uintptr(fd), 0, 0) }
