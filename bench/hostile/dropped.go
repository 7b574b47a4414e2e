package hostile

import (
	"net/netip"
	"os"

	"golang.org/x/sys/unix"
)

// dropped is a port of the instance that answers nothing, as one behind its firewall: a
// listener whose queue is full and that nobody accepts from. Linux drops what comes then.
type dropped struct {
	port    uint16
	sockets []int
}

// drop makes one.
func (s *site) drop() (d *dropped, err error) {
	d = &dropped{}
	defer func() {
		if err != nil {
			d.close()
		}
	}()
	at := &unix.SockaddrInet4{Addr: netip.MustParseAddr(insideAddress).As4()}
	err = s.inside.Do(func() error {
		fd, err := d.socket()
		if err != nil {
			return err
		}
		if err := unix.Bind(fd, at); err != nil {
			return os.NewSyscallError("bind", err)
		}
		bound, err := unix.Getsockname(fd)
		if err != nil {
			return os.NewSyscallError("getsockname", err)
		}
		at.Port = bound.(*unix.SockaddrInet4).Port
		return os.NewSyscallError("listen", unix.Listen(fd, 0))
	})
	if err != nil {
		return d, err
	}
	d.port = uint16(at.Port)
	// A backlog of 0 is a queue of one.
	return d, s.edge.Do(func() error {
		for range 2 {
			fd, err := d.socket()
			if err != nil {
				return err
			}
			if err := unix.Connect(fd, at); err != nil && err != unix.EINPROGRESS {
				return os.NewSyscallError("connect", err)
			}
		}
		return nil
	})
}

func (d *dropped) socket() (int, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	d.sockets = append(d.sockets, fd)
	return fd, nil
}

// close lets go of the port. A nil d has none.
func (d *dropped) close() {
	if d == nil {
		return
	}
	for _, fd := range d.sockets {
		unix.Close(fd)
	}
	d.sockets = nil
}
