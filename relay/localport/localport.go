// Package localport chooses the local port of a connection that is about to be made.
//
// The side that sends the first FIN holds its port for a minute (TIME_WAIT). Where the
// client ends first, as most do, that side is the gateway. The kernel's own choice leaves
// such ports out: 28,232 connections a minute to one port of an instance, which is 470 a
// second, use up all of them. With timestamps a port in TIME_WAIT may be used again at once
// (RFC 6191), and the kernel allows it to a socket that is bound to the port, whatever
// net.ipv4.tcp_tw_reuse says. So the gateway chooses, and the kernel chooses where that
// choice is taken.
//
// A [Range] gives out every second port of the kernel's range, those that the kernel gives
// to connect last: while a socket is bound to a port, no other connect gets it, whatever
// its address.
package localport

import (
	"errors"
	"math/rand/v2"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// tries is how many ports Try takes from the range. Every second port is in use with
// 7,000 connections to one port of an instance.
const tries = 8

// A Range is the kernel's range of local ports, as Read found it. It does not change, so any
// number of goroutines may use it. The zero Range leaves each choice to the kernel.
type Range struct {
	low, n   int
	reserved [][2]int // net.ipv4.ip_local_reserved_ports, for others
}

// Read returns the range of the calling thread's network namespace. If it cannot be read,
// Read returns the zero Range.
func Read() (r Range) {
	const dir = "/proc/sys/net/ipv4/"
	text, err := os.ReadFile(dir + "ip_local_port_range")
	if err != nil {
		return Range{}
	}
	if bounds := strings.Fields(string(text)); len(bounds) == 2 {
		low, _ := strconv.Atoi(bounds[0])
		high, _ := strconv.Atoi(bounds[1])
		if low > 0 && low < high && high < 1<<16 {
			r.low, r.n = low, high-low+1
		}
	}
	text, err = os.ReadFile(dir + "ip_local_reserved_ports")
	if err != nil {
		return Range{}
	}
	r.reserved = parseList(strings.TrimSpace(string(text)))
	return r
}

// parseList parses the kernel's form of a list: 8080,9000-9100.
func parseList(text string) (list [][2]int) {
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

// pick returns a port to connect from; 0 leaves it to the kernel. A connection to a port of
// this host must not come from that port: TCP would connect it to itself.
func (r *Range) pick(to uint16) uint16 {
	for range tries {
		if r.n < 2 {
			break
		}
		port := r.low + 2*rand.IntN(r.n/2) + 1
		if port != int(to) && !r.isReserved(port) {
			return uint16(port)
		}
	}
	return 0
}

func (r *Range) isReserved(port int) bool {
	for _, span := range r.reserved {
		if span[0] <= port && port <= span[1] {
			return true
		}
	}
	return false
}

// Try calls connect with ports to connect to the address from, until one of them is not
// taken, and returns its error. Port 0, which comes last, leaves the choice to the kernel.
func (r *Range) Try(to netip.AddrPort, connect func(port uint16) error) error {
	for range tries {
		port := r.pick(to.Port())
		if port == 0 {
			break
		}
		if err := connect(port); !Taken(err) {
			return err
		}
	}
	return connect(0)
}

// Taken reports whether err, of bind or connect, says that the local port is in use: another
// socket has it (bind), or a connection from it to the same address exists (connect).
func Taken(err error) bool {
	return errors.Is(err, unix.EADDRINUSE) || errors.Is(err, unix.EADDRNOTAVAIL)
}
