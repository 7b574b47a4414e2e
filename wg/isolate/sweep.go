package isolate

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"time"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"sallyport/wg/kernel"
)

// While rules are missing, a guest can connect to the host, and its connections
// survive the return of the rules: an ACK passes. So the host's sockets to guests
// are ended then, except the gateway's, which are bound to the interface.
// sock_diag lists sockets and ends them (linux/inet_diag.h).

// sweepFor is how long after a gap a guest may still complete a connection that it
// began in it: so long the kernel takes its own SYN cookies (two periods of a
// minute, net/ipv4/syncookies.c), which it sends when a listener's queue is full.
const sweepFor = 2*time.Minute + 10*time.Second

// GapEnds says that rules were missing until now. Sweep has work to do for a while.
func (i *Isolation) GapEnds() { i.sweepUntil = time.Now().Add(sweepFor) }

// Sweep ends what guests may have begun while rules were missing, if that was a
// short while ago. It returns the number of connections that it has ended. After
// an error it does nothing until the next gap.
func (i *Isolation) Sweep(index int) (ended int, err error) {
	if !time.Now().Before(i.sweepUntil) {
		return 0, nil
	}
	if ended, err = sweep(i.diag, i.o.Address, index, os.Geteuid()); err != nil {
		i.sweepUntil = time.Time{}
	}
	return ended, err
}

// sweep ends the TCP sockets of this host to addresses of network, except those
// that are bound to the interface of this index and belong to this user. It
// returns the number that it has ended.
func sweep(s *kernel.Socket, network netip.Prefix, index, user int) (ended int, err error) {
	for _, family := range []byte{unix.AF_INET, unix.AF_INET6} { // of the latter the mapped addresses
		found, err := socketsTo(s, family, network)
		if err != nil {
			return ended, fmt.Errorf("list sockets to guests: %w", err)
		}
		for _, f := range found {
			if f.boundTo == index && (f.user == user || f.closed) {
				continue
			}
			switch _, err := s.Ask(kernel.Message{Kind: unix.SOCK_DESTROY, Flags: unix.NLM_F_ACK, Data: f.request(0)}); {
			case err == nil:
				ended++
			case !errors.Is(err, unix.ENOENT): // it has ended by itself
				return ended, fmt.Errorf("end a socket to a guest (CONFIG_INET_DIAG_DESTROY): %w", err)
			}
		}
	}
	return ended, nil
}

// socket is one that sock_diag has listed.
type socket struct {
	family        byte
	id            [48]byte // struct inet_diag_sockid: addresses, interface, and a cookie that no later socket has
	boundTo, user int
	closed        bool // by its process: only its last bytes are still to be delivered
}

// States of a TCP socket in which it has no peer to speak to (net/tcp_states.h).
const (
	tcpTimeWait = 6
	tcpClose    = 7
	tcpListen   = 10
	allStates   = 1<<12 - 1
	speaking    = allStates &^ (1<<tcpTimeWait | 1<<tcpClose | 1<<tcpListen)
)

// request is a struct inet_diag_req_v2 about this socket, or about all in some states.
func (s *socket) request(states uint32) []byte {
	b := []byte{s.family, unix.IPPROTO_TCP, 0, 0}
	b = binary.NativeEndian.AppendUint32(b, states)
	return append(b, s.id[:]...)
}

// socketsTo lists the TCP sockets to addresses of network. The kernel selects them.
func socketsTo(s *kernel.Socket, family byte, network netip.Prefix) (found []socket, err error) {
	const (
		bytecode  = 1 // INET_DIAG_REQ_BYTECODE
		condition = 8 // INET_DIAG_BC_D_COND: the destination
		length    = 16
		no        = length + 4 // beyond the end: not this one
	)
	address := network.Masked().Addr().As4()
	code := []byte{condition, length}
	code = binary.NativeEndian.AppendUint16(code, no)
	code = append(code, unix.AF_INET, byte(network.Bits()), 0, 0)
	code = binary.NativeEndian.AppendUint32(code, ^uint32(0)) // any port
	filter := nl.NewRtAttr(bytecode, append(code, address[:]...)).Serialize()
	all := socket{family: family}
	answers, err := s.Ask(kernel.Message{Kind: unix.SOCK_DIAG_BY_FAMILY, Flags: unix.NLM_F_DUMP, Data: append(all.request(speaking), filter...)})
	for _, a := range answers {
		const idAt, interfaceAt, userAt, inodeAt, size = 4, 40, 64, 68, 72 // in a struct inet_diag_msg
		if len(a.Data) < size {
			continue
		}
		found = append(found, socket{
			family: a.Data[0], id: [48]byte(a.Data[idAt:]),
			boundTo: int(binary.NativeEndian.Uint32(a.Data[interfaceAt:])), user: int(binary.NativeEndian.Uint32(a.Data[userAt:])),
			closed: binary.NativeEndian.Uint32(a.Data[inodeAt:]) == 0,
		})
	}
	return found, err
}
