package relay

import (
	"errors"
	"math/rand/v2"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Which local port a connection to a backend comes from. Whoever sends the first FIN
// holds the port for a minute (TIME_WAIT), and where the client ends first, as most do,
// that is the gateway. The kernel's own choice leaves such ports out: 28,232 connections
// a minute to one port of an instance, which is 470 a second, and none was left for it.
// With timestamps a port in TIME_WAIT may be used again at once (RFC 6191), and the
// kernel allows it to a socket that is bound to it, whatever net.ipv4.tcp_tw_reuse says.
// So the gateway chooses, and where its choice is taken, the kernel.
//
// It takes every second port of the kernel's range, those that the kernel gives to
// connect last: a port that somebody is bound to is for nobody else's connect, to
// whatever address.

// portTries is how many ports are tried. Each second one to an instance's port is in use
// at 7,000 connections to it.
const portTries = 8

// ports is the kernel's range, as it was at the start.
type ports struct {
	low, n   int
	reserved [][2]int // net.ipv4.ip_local_reserved_ports, for others
}

// readPorts asks for the range in the namespace of this thread. Where that cannot be
// known, the kernel alone chooses.
func readPorts() (p ports) {
	const dir = "/proc/sys/net/ipv4/"
	text, err := os.ReadFile(dir + "ip_local_port_range")
	if err != nil {
		return ports{}
	}
	if bounds := strings.Fields(string(text)); len(bounds) == 2 {
		low, _ := strconv.Atoi(bounds[0])
		high, _ := strconv.Atoi(bounds[1])
		if low > 0 && low < high && high < 1<<16 {
			p.low, p.n = low, high-low+1
		}
	}
	text, err = os.ReadFile(dir + "ip_local_reserved_ports")
	if err != nil {
		return ports{}
	}
	p.reserved = portList(strings.TrimSpace(string(text)))
	return p
}

// portList reads the kernel's form of a list: 8080,9000-9100.
func portList(text string) (list [][2]int) {
	for part := range strings.SplitSeq(text, ",") {
		first, last, isRange := strings.Cut(part, "-")
		if !isRange {
			last = first
		}
		a, errA := strconv.Atoi(first)
		b, errB := strconv.Atoi(last)
		if errA == nil && errB == nil {
			list = append(list, [2]int{a, b})
		}
	}
	return list
}

// pick chooses a port to come from; 0 leaves it to the kernel. A connection to a port of
// this machine must not come from that port: TCP would connect it to itself.
func (p *ports) pick(to uint16) uint16 {
	for range portTries {
		if p.n < 2 {
			break
		}
		port := p.low + 2*rand.IntN(p.n/2) + 1
		if port != int(to) && !p.isReserved(port) {
			return uint16(port)
		}
	}
	return 0
}

func (p *ports) isReserved(port int) bool {
	for _, r := range p.reserved {
		if r[0] <= port && port <= r[1] {
			return true
		}
	}
	return false
}

// comingFrom calls connect with ports to come from until one is not taken; the last is
// the kernel's to choose.
func (p *ports) comingFrom(to netip.AddrPort, connect func(port uint16) error) error {
	for range portTries {
		port := p.pick(to.Port())
		if port == 0 {
			break
		}
		if err := connect(port); !portTaken(err) {
			return err
		}
	}
	return connect(0)
}

// portTaken reports whether another socket has the port (of bind), or a connection from
// it to the same place is there (of connect).
func portTaken(err error) bool {
	return errors.Is(err, unix.EADDRINUSE) || errors.Is(err, unix.EADDRNOTAVAIL)
}

// comeFrom has a socket that is to connect to such an address come from port. SO_REUSEADDR
// lets others of the gateway's come from there to other places, and later to the same.
func comeFrom(fd int32, to netip.AddrPort, port uint16) error {
	setInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
	if port == 0 {
		return nil
	}
	any := netip.IPv6Unspecified()
	if to.Addr().Unmap().Is4() {
		any = netip.IPv4Unspecified()
	}
	if errno := bindTo(fd, netip.AddrPortFrom(any, port)); errno != 0 {
		return errno
	}
	return nil
}
