package kernel

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"

	"sallyport/internal/oneline"
)

// A Socket is a netlink socket to a part of the kernel that answers while it takes
// a request, as nfnetlink and sock_diag do. Once the request is sent, its answers
// can be read, and each read of a list makes the kernel write more of it. So
// reading never waits, and a kernel that does not know the request cannot block
// the caller. A Socket must not be used concurrently.
type Socket struct {
	fd   int
	seq  uint32
	read [64 << 10]byte // the kernel makes no datagram longer than 32 KiB
}

// Message is a netlink message without the fields that the socket adds.
type Message struct {
	Kind, Flags uint16
	Data        []byte
}

// Open opens a socket of a netlink protocol (NETLINK_…) in a namespace.
func Open(inside *Namespace, protocol int) (*Socket, error) {
	s := &Socket{fd: -1}
	err := inside.Do(func() (err error) {
		s.fd, err = unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, protocol)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("netlink socket: %w", err)
	}
	return s, nil
}

// Close closes the socket.
func (s *Socket) Close() error { return unix.Close(s.fd) }

// ErrNoAnswer reports a request that the kernel left without an answer.
var ErrNoAnswer = errors.New("the kernel did not answer")

// Ask sends requests in one datagram and returns the answers, without the
// acknowledgements. The error is the first that the kernel reports.
func (s *Socket) Ask(requests ...Message) ([]syscall.NetlinkMessage, error) {
	first := s.seq + 1
	var all []byte
	for _, r := range requests {
		s.seq++
		all = binary.NativeEndian.AppendUint32(all, uint32(unix.SizeofNlMsghdr+len(r.Data)))
		all = binary.NativeEndian.AppendUint16(all, r.Kind)
		all = binary.NativeEndian.AppendUint16(all, r.Flags|unix.NLM_F_REQUEST)
		all = binary.NativeEndian.AppendUint32(all, s.seq)
		all = binary.NativeEndian.AppendUint32(all, 0)
		all = append(all, r.Data...)
		all = append(all, make([]byte, -len(all)&(unix.NLMSG_ALIGNTO-1))...)
	}
	if err := unix.Sendto(s.fd, all, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return nil, fmt.Errorf("send: %w", err)
	}
	return s.answers(first)
}

// answers reads everything up to the acknowledgement or the end of the list. It
// drops the answers to earlier requests.
func (s *Socket) answers(first uint32) (found []syscall.NetlinkMessage, failed error) {
	ended := false
	for {
		part, err := s.receive()
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EAGAIN) && !ended && failed == nil:
			return nil, ErrNoAnswer
		case errors.Is(err, unix.EAGAIN):
			return found, failed
		case err != nil: // such as ENOBUFS: an answer is lost
			return nil, oneline.Join(failed, fmt.Errorf("receive: %w", err))
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

// outcome reports whether a message ends a request, and with which error.
func outcome(m syscall.NetlinkMessage) (errno unix.Errno, end bool) {
	if m.Header.Type != unix.NLMSG_ERROR && m.Header.Type != unix.NLMSG_DONE {
		return 0, false
	}
	if len(m.Data) < 4 {
		return 0, true
	}
	return unix.Errno(-int32(binary.NativeEndian.Uint32(m.Data))), true
}

// receive reads one datagram, which holds some of the answers.
func (s *Socket) receive() ([]syscall.NetlinkMessage, error) {
	n, _, err := unix.Recvfrom(s.fd, s.read[:], unix.MSG_DONTWAIT)
	if err != nil {
		return nil, err
	}
	return syscall.ParseNetlinkMessage(s.read[:n])
}
