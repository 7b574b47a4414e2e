package nonblock

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// SetInt sets a socket option that the kernel cannot refuse for these sockets;
// where it does (an option unknown to a Unix socket) the connection works without it.
func SetInt(fd int32, level, name, value int) {
	v := int32(value)
	_, _, _ = unix.RawSyscall6(unix.SYS_SETSOCKOPT, uintptr(fd), uintptr(level), uintptr(name), uintptr(unsafe.Pointer(&v)), 4, 0)
}

// ResetOnClose makes the next [Close] send RST instead of FIN.
func ResetOnClose(fd int32) {
	l := unix.Linger{Onoff: 1}
	_, _, _ = unix.RawSyscall6(unix.SYS_SETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_LINGER, uintptr(unsafe.Pointer(&l)), unsafe.Sizeof(l), 0)
}

// Unsent returns how many bytes the peer has not acknowledged (tcp(7), SIOCOUTQ).
func Unsent(fd int32) int {
	n, errno := ask(fd, unix.SIOCOUTQ)
	if errno != 0 {
		return 0
	}
	return n
}

// Unread returns how many bytes can be read (tcp(7), SIOCINQ); a FIN is none.
func Unread(fd int32) (int, unix.Errno) { return ask(fd, unix.SIOCINQ) }

// ask is an ioctl that answers with a number.
func ask(fd int32, request uintptr) (int, unix.Errno) {
	var n int32
	_, _, e := unix.RawSyscall(unix.SYS_IOCTL, uintptr(fd), request, uintptr(unsafe.Pointer(&n)))
	return int(n), e
}

// Error takes the pending error of a socket, such as that of its connect.
func Error(fd int32) unix.Errno {
	var v, size int32 = 0, 4
	_, _, e := unix.RawSyscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_ERROR,
		uintptr(unsafe.Pointer(&v)), uintptr(unsafe.Pointer(&size)), 0)
	if e != 0 {
		return e
	}
	return unix.Errno(v)
}
