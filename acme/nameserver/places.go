package nameserver

import (
	"net"
	"net/netip"
	"sync"
	"time"
)

// The places for TCP connections. An attacker can forge datagrams of a resolver's network
// until the server invites that network to ask by TCP (limit.go), and can hold connections
// from networks of its own. So half of the places are for networks that were just invited:
// the others do not need TCP. Where a class is full, the network with the most connections
// loses the one that has been idle the longest; a new connection is never refused while
// others idle.

// invitedFor is how long an invitation holds. A resolver comes within its timeout, seconds
// at most.
const invitedFor = 10 * time.Second

// maxInvited bounds the networks that are remembered. The oldest goes first.
const maxInvited = 4096

// conn is a connection of a client.
type conn struct {
	net.Conn
	source netip.Prefix

	invited bool      // its source was invited; connections guards this and idle
	idle    time.Time // since when
}

// connections are those that are open.
type connections struct {
	max       [2]int // of those that were not invited, and of those that were
	perSource [2]int

	mu      sync.Mutex // guards what follows; held for a walk of one class at most
	open    [2]map[*conn]struct{}
	held    [2]map[netip.Prefix]int
	invited map[netip.Prefix]time.Time // when a source was last invited
	ring    [maxInvited]netip.Prefix   // of invited, in their order
	next    int
}

func newConnections(n int) *connections {
	c := &connections{invited: map[netip.Prefix]time.Time{}}
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

// invite notes that an answer has asked source to come by TCP.
func (c *connections) invite(source netip.Prefix, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.invited[source]; !ok {
		delete(c.invited, c.ring[c.next])
		c.ring[c.next] = source
		c.next = (c.next + 1) % maxInvited
	}
	c.invited[source] = now
}

// enter gives n a place, and returns the connection that loses its place for it, nil if
// there is room. It may be n itself.
func (c *connections) enter(n *conn, now time.Time) (out *conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	last, ok := c.invited[n.source]
	n.invited, n.idle = ok && now.Sub(last) < invitedFor, now
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

// lastLocked returns the connection that has been idle the longest, of the network with the
// most connections, or of one network.
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

// answered notes that n was answered: it is idle from now on.
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

// patience returns how long to wait for a query of n.
func (c *connections) patience(n *conn) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	if in := class(n.invited); len(c.open[in]) > c.max[in]/2 {
		return busyTimeout
	}
	return idleTimeout
}
