package sock

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// The calls are raw: they do not tell the scheduler that the thread is in the
// kernel. That is right only for descriptors that are non-blocking. EINTR is
// retried, because the runtime preempts goroutines by a signal.

// Read reads from a non-blocking descriptor.
func Read(fd int32, p []byte) (int, unix.Errno) {
	if len(p) == 0 {
		return 0, 0
	}
	for {
		n, _, e := unix.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)))
		switch e {
		case 0:
			return int(n), 0
		case unix.EINTR:
		default:
			return 0, e
		}
	}
}

// Send writes to a non-blocking socket and returns how much it took.
func Send(fd int32, p []byte) (int, unix.Errno) {
	if len(p) == 0 {
		return 0, 0
	}
	for {
		n, _, e := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)), unix.MSG_NOSIGNAL, 0, 0)
		switch e {
		case 0:
			return int(n), 0
		case unix.EINTR:
		default:
			return 0, e
		}
	}
}

// Accept takes one connection, non-blocking and without delay, from a listener
// of [Listen].
func Accept(fd int32) (int32, unix.Errno) {
	for {
		n, _, e := unix.RawSyscall6(unix.SYS_ACCEPT4, uintptr(fd), 0, 0, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0, 0)
		switch e {
		case 0:
			return int32(n), 0 // TCP_NODELAY is inherited from the listener
		case unix.EINTR:
		default:
			return -1, e
		}
	}
}

// Close closes fd. EINTR is not retried: on Linux the descriptor is gone anyway.
func Close(fd int32) { _, _, _ = unix.RawSyscall(unix.SYS_CLOSE, uintptr(fd), 0, 0) }

// Error takes the pending error of a socket, such as that of its connect.
func Error(fd int32) unix.Errno {
	v, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_ERROR)
	if err != nil {
		return unix.EBADF
	}
	return unix.Errno(v)
}
