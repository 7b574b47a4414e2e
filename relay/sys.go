package relay

import (
	"encoding/binary"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The system calls of the hot path are raw: they do not tell the scheduler that
// the thread is in the kernel. That is right only because every descriptor here
// is non-blocking, so none of these calls can wait. EINTR is retried, because
// the runtime preempts goroutines by a signal.

// read reads from a socket: recvfrom spares the kernel what read does for files, 2 % of an
// exchange of 64 bytes.
func read(fd int32, p []byte) (int, unix.Errno) {
	if len(p) == 0 {
		return 0, 0
	}
	for {
		n, _, e := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)), 0, 0, 0)
		if e != unix.EINTR {
			return int(n), e
		}
	}
}

// send writes to a socket. MSG_NOSIGNAL spares the process a SIGPIPE for each
// peer that is gone.
func send(fd int32, p []byte) (int, unix.Errno) {
	if len(p) == 0 {
		return 0, 0
	}
	for {
		n, _, e := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)), unix.MSG_NOSIGNAL, 0, 0)
		if e != unix.EINTR {
			return int(n), e
		}
	}
}

// splice moves up to n bytes between a socket and a pipe. SPLICE_F_MORE is never
// set: it made Go's first splice hold the last bytes of a message for 200 ms
// (golang.org/issue/10948).
func splice(from, to int32, n int) (int, unix.Errno) {
	const flags = unix.SPLICE_F_MOVE | unix.SPLICE_F_NONBLOCK
	for {
		m, _, e := unix.RawSyscall6(unix.SYS_SPLICE, uintptr(from), 0, uintptr(to), 0, uintptr(n), flags)
		if e != unix.EINTR {
			return int(m), e
		}
	}
}

// accept takes one connection from a listener, non-blocking and close-on-exec.
func accept(fd int32) (int32, netip.AddrPort, unix.Errno) {
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

// connect starts a connection; EINPROGRESS is the ordinary answer.
func connect(fd int32, to netip.AddrPort) unix.Errno {
	var sa unix.RawSockaddrAny
	size := rawSockaddr(&sa, to)
	for {
		_, _, e := unix.RawSyscall(unix.SYS_CONNECT, uintptr(fd), uintptr(unsafe.Pointer(&sa)), size)
		if e != unix.EINTR {
			return e
		}
	}
}

// bindTo gives a socket its own address.
func bindTo(fd int32, at netip.AddrPort) unix.Errno {
	var sa unix.RawSockaddrAny
	size := rawSockaddr(&sa, at)
	_, _, e := unix.RawSyscall(unix.SYS_BIND, uintptr(fd), uintptr(unsafe.Pointer(&sa)), size)
	return e
}

func shutdownWrite(fd int32) {
	_, _, _ = unix.RawSyscall(unix.SYS_SHUTDOWN, uintptr(fd), unix.SHUT_WR, 0)
}

// closeFD does not retry EINTR: on Linux the descriptor is gone in any case.
func closeFD(fd int32) { _, _, _ = unix.RawSyscall(unix.SYS_CLOSE, uintptr(fd), 0, 0) }

// setInt sets a socket option that the kernel cannot refuse for these sockets;
// where it does (an option unknown to a Unix socket of the netstack dialler) the
// connection works without it.
func setInt(fd int32, level, name, value int) {
	v := int32(value)
	_, _, _ = unix.RawSyscall6(unix.SYS_SETSOCKOPT, uintptr(fd), uintptr(level), uintptr(name), uintptr(unsafe.Pointer(&v)), 4, 0)
}

// resetOnClose makes the next close send RST instead of FIN.
func resetOnClose(fd int32) {
	l := unix.Linger{Onoff: 1}
	_, _, _ = unix.RawSyscall6(unix.SYS_SETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_LINGER, uintptr(unsafe.Pointer(&l)), unsafe.Sizeof(l), 0)
}

// unsent tells how many bytes the peer has not acknowledged (tcp(7), SIOCOUTQ).
func unsent(fd int32) int {
	n, errno := ask(fd, unix.SIOCOUTQ)
	if errno != 0 {
		return 0
	}
	return n
}

// unread tells how many bytes can be read (tcp(7), SIOCINQ); a FIN is none.
func unread(fd int32) (int, unix.Errno) { return ask(fd, unix.SIOCINQ) }

// ask is an ioctl that answers with a number.
func ask(fd int32, request uintptr) (int, unix.Errno) {
	var n int32
	_, _, e := unix.RawSyscall(unix.SYS_IOCTL, uintptr(fd), request, uintptr(unsafe.Pointer(&n)))
	return int(n), e
}

func socketError(fd int32) unix.Errno {
	var v, size int32 = 0, 4
	_, _, e := unix.RawSyscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_ERROR,
		uintptr(unsafe.Pointer(&v)), uintptr(unsafe.Pointer(&size)), 0)
	if e != 0 {
		return e
	}
	return unix.Errno(v)
}

// rawSockaddr fills sa and returns its size.
func rawSockaddr(sa *unix.RawSockaddrAny, a netip.AddrPort) uintptr {
	if ip := a.Addr().Unmap(); ip.Is4() {
		in := (*unix.RawSockaddrInet4)(unsafe.Pointer(sa))
		*in = unix.RawSockaddrInet4{Family: unix.AF_INET, Addr: ip.As4()}
		putPort(&in.Port, a.Port())
		return unix.SizeofSockaddrInet4
	}
	in := (*unix.RawSockaddrInet6)(unsafe.Pointer(sa))
	*in = unix.RawSockaddrInet6{Family: unix.AF_INET6, Addr: a.Addr().As16()}
	putPort(&in.Port, a.Port())
	return unix.SizeofSockaddrInet6
}

func addrPort(sa *unix.RawSockaddrAny) netip.AddrPort {
	switch sa.Addr.Family {
	case unix.AF_INET:
		in := (*unix.RawSockaddrInet4)(unsafe.Pointer(sa))
		return netip.AddrPortFrom(netip.AddrFrom4(in.Addr), port(&in.Port))
	case unix.AF_INET6:
		in := (*unix.RawSockaddrInet6)(unsafe.Pointer(sa))
		return netip.AddrPortFrom(netip.AddrFrom16(in.Addr).Unmap(), port(&in.Port))
	}
	return netip.AddrPort{}
}

// Ports stand in network order in a sockaddr, whatever the machine's order is.
func putPort(p *uint16, port uint16) {
	binary.BigEndian.PutUint16((*[2]byte)(unsafe.Pointer(p))[:], port)
}

func port(p *uint16) uint16 { return binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(p))[:]) }

// epollWait waits for events, at most so many milliseconds, without telling the Go
// scheduler. A signal ends the wait.
func epollWait(epoll int32, events []unix.EpollEvent, millis int) int {
	n, _, e := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(epoll), uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)), uintptr(millis), 0, 0)
	if e != 0 {
		return 0
	}
	return int(n)
}
