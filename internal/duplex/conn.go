package duplex

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// What Join needs of a connection beyond net.Conn. A connection of the kernel is asked by
// system calls; others may have methods.

// A Resetter closes so that the peer sees a reset instead of EOF.
type Resetter interface{ Reset() }

// A Sender reports how many bytes its peer has not acknowledged.
type Sender interface{ Unsent() int }

// A Mortal knows when its peer has gone without an end of its stream.
type Mortal interface {
	Gone() bool
	// WaitGone waits until Gone, and returns false if the connection is closed before.
	WaitGone() bool
}

// Reset closes c so that its peer sees a reset instead of EOF.
func Reset(c net.Conn) {
	switch c := c.(type) {
	case Resetter:
		c.Reset()
		return
	case interface{ SetLinger(sec int) error }:
		_ = c.SetLinger(0)
	}
	_ = c.Close()
}

func unsent(c net.Conn) (n int) {
	if s, ok := c.(Sender); ok {
		return s.Unsent()
	}
	control(c, func(fd uintptr) {
		n, _ = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ)
	})
	return n
}

func gone(c net.Conn) (is bool) {
	if m, ok := c.(Mortal); ok {
		return m.Gone()
	}
	control(c, func(fd uintptr) { is = hungUp(fd) })
	return is
}

func waitGone(c net.Conn) bool {
	if m, ok := c.(Mortal); ok {
		return m.WaitGone()
	}
	s, ok := c.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := s.SyscallConn()
	return err == nil && raw.Read(hungUp) == nil
}

// hungUp reports whether a socket has an error, or is closed in both directions.
func hungUp(fd uintptr) bool {
	poll := []unix.PollFd{{Fd: int32(fd)}}
	n, err := unix.Poll(poll, 0)
	return err == nil && n > 0 && poll[0].Revents&(unix.POLLERR|unix.POLLHUP) != 0
}

// control runs f on c's descriptor, if it has one.
func control(c net.Conn, f func(fd uintptr)) {
	s, ok := c.(syscall.Conn)
	if !ok {
		return
	}
	if raw, err := s.SyscallConn(); err == nil {
		_ = raw.Control(f) // it is closed: there is nothing to ask
	}
}
