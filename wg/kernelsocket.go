package wg

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

// kernelSocket is a netlink socket to a part of the kernel that answers while it
// takes a request: nfnetlink and sock_diag do. When the request has been sent, its
// answers are there to be read, and each read of a list has the kernel write on. So
// reading never waits, and a kernel that does not know what it is asked cannot hold
// anybody up.
type kernelSocket struct {
	fd   int
	seq  uint32
	read [64 << 10]byte // the kernel makes no datagram longer than 32 KiB
}

// message is a netlink message without what the socket adds.
type message struct {
	kind, flags uint16
	data        []byte
}

func openKernelSocket(inside *namespace, protocol int) (*kernelSocket, error) {
	s := &kernelSocket{fd: -1}
	err := inside.do(func() (err error) {
		s.fd, err = unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, protocol)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("netlink socket: %w", err)
	}
	return s, nil
}

func (s *kernelSocket) close() error { return unix.Close(s.fd) }

var errNoAnswer = errors.New("the kernel did not answer")

// ask sends requests in one piece and returns the answers, without
// acknowledgements. The error is the first that the kernel has.
func (s *kernelSocket) ask(requests ...message) ([]syscall.NetlinkMessage, error) {
	first := s.seq + 1
	var all []byte
	for _, r := range requests {
		s.seq++
		all = binary.NativeEndian.AppendUint32(all, uint32(unix.SizeofNlMsghdr+len(r.data)))
		all = binary.NativeEndian.AppendUint16(all, r.kind)
		all = binary.NativeEndian.AppendUint16(all, r.flags|unix.NLM_F_REQUEST)
		all = binary.NativeEndian.AppendUint32(all, s.seq)
		all = binary.NativeEndian.AppendUint32(all, 0)
		all = append(all, r.data...)
		all = append(all, make([]byte, -len(all)&(unix.NLMSG_ALIGNTO-1))...)
	}
	if err := unix.Sendto(s.fd, all, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return nil, fmt.Errorf("send: %w", err)
	}
	return s.answers(first)
}

// answers reads all that is there, to the acknowledgement or the end of the list.
// What belongs to an earlier request is dropped.
func (s *kernelSocket) answers(first uint32) (found []syscall.NetlinkMessage, failed error) {
	ended := false
	for {
		part, err := s.receive()
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EAGAIN) && !ended && failed == nil:
			return nil, errNoAnswer
		case errors.Is(err, unix.EAGAIN):
			return found, failed
		case err != nil: // such as ENOBUFS: an answer is lost
			return nil, errors.Join(failed, fmt.Errorf("receive: %w", err))
		}
		for _, m := range part {
			if int32(m.Header.Seq-first) < 0 {
				continue
			}
			errno, end := outcome(m)
			switch {
			case errno != 0 && failed == nil:
				failed = errno
			case !end:
				m.Data = bytes.Clone(m.Data) // the next datagram comes to the same place
				found = append(found, m)
			}
			ended = ended || end
		}
	}
}

// outcome is what a message says of the end of a request.
func outcome(m syscall.NetlinkMessage) (errno unix.Errno, end bool) {
	if m.Header.Type != unix.NLMSG_ERROR && m.Header.Type != unix.NLMSG_DONE {
		return 0, false
	}
	if len(m.Data) < 4 {
		return 0, true
	}
	return unix.Errno(-int32(binary.NativeEndian.Uint32(m.Data))), true
}

// receive takes one datagram, which has a part of the answers.
func (s *kernelSocket) receive() ([]syscall.NetlinkMessage, error) {
	n, _, err := unix.Recvfrom(s.fd, s.read[:], unix.MSG_DONTWAIT)
	if err != nil {
		return nil, err
	}
	return syscall.ParseNetlinkMessage(s.read[:n])
}
