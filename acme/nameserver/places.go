package nameserver

import (
	"net"
	"net/netip"
	"sync"
	"time"
)

// Who may have a TCP connection. Anybody can forge datagrams of a resolver's network until
// it is told to come by TCP (limit.go), and hold connections from networks of his own. So
// half of the places are for networks that were just told so: who has not been told has no
// need for TCP. Where a class is full, the network with the most gives one up, the one that
// has been idle the longest; who comes last is never turned away while others idle.

// toldFor is how long a network may come by TCP after it was told to. A resolver does it
// within its timeout, seconds at most.
const toldFor = 10 * time.Second

// maxTold bounds the networks that are remembered; the oldest is forgotten.
const maxTold = 4096

// conn is a connection of a client.
type conn struct {
	net.Conn
	source netip.Prefix

	invited bool      // its source had been told to come; this and idle are connections'
	idle    time.Time // since when
}

// connections are those that are open.
type connections struct {
	max       [2]int // of those that were not told to come, and of those that were
	perSource [2]int

	mu   sync.Mutex // guards what follows; held for a walk of one class at most
	open [2]map[*conn]struct{}
	held [2]map[netip.Prefix]int
	told map[netip.Prefix]time.Time
	ring [maxTold]netip.Prefix // of told, in their order
	next int
}

func newConnections(n int) *connections {
	c := &connections{told: map[netip.Prefix]time.Time{}}
	c.max = [2]int{n - n/2, max(1, n/2)}
	c.perSource = [2]int{max(1, n/8), max(1, n/8)}
	for i := range c.open {
		c.open[i], c.held[i] = map[*conn]struct{}{}, map[netip.Prefix]int{}
	}
	return c
}

func class(invited bool) int {
	if invited {
		return 1
	}
	return 0
}

// tell notes that source is told to come by TCP.
func (c *connections) tell(source netip.Prefix, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.told[source]; !ok {
		delete(c.told, c.ring[c.next])
		c.ring[c.next] = source
		c.next = (c.next + 1) % maxTold
	}
	c.told[source] = now
}

// enter gives n a place, and returns who had to give one up, if anybody: n itself is one of
// those that may have to.
func (c *connections) enter(n *conn, now time.Time) (out *conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	last, ok := c.told[n.source]
	n.invited, n.idle = ok && now.Sub(last) < toldFor, now
	in := class(n.invited)
	c.open[in][n] = struct{}{}
	c.held[in][n.source]++
	switch {
	case c.held[in][n.source] > c.perSource[in]:
		out = c.lastLocked(in, n.source)
	case len(c.open[in]) > c.max[in]:
		out = c.lastLocked(in, netip.Prefix{})
	default:
		return nil
	}
	c.leaveLocked(out)
	return out
}

// lastLocked is who has been idle the longest, of the network with the most connections, or
// of one network.
func (c *connections) lastLocked(in int, of netip.Prefix) (last *conn) {
	most := 0
	for n := range c.open[in] {
		held := c.held[in][n.source]
		if of.IsValid() && n.source != of {
			continue
		}
		if held > most || held == most && n.idle.Before(last.idle) {
			last, most = n, held
		}
	}
	return last
}

// answered notes that n has asked something: it is idle from now on.
func (c *connections) answered(n *conn, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n.idle = now
}

func (c *connections) leave(n *conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.leaveLocked(n)
}

func (c *connections) leaveLocked(n *conn) {
	in := class(n.invited)
	if _, ok := c.open[in][n]; !ok {
		return
	}
	delete(c.open[in], n)
	if c.held[in][n.source]--; c.held[in][n.source] == 0 {
		delete(c.held[in], n.source)
	}
}

// patience is how long to wait for a query of n.
func (c *connections) patience(n *conn) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	if in := class(n.invited); len(c.open[in]) > c.max[in]/2 {
		return busyTimeout
	}
	return idleTimeout
}
