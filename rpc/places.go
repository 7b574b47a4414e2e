package rpc

import (
	"net"
	"net/netip"
	"sync"
	"time"

	"sallyport/internal/source"
)

// A certified guest cannot be distinguished from a stranger before its handshake is over, and
// strangers may come by the thousand. So places are kept apart by what is known:
//
//	stranger   its handshake is not over, or was over without a certificate
//	known      the same, from an address from which a certified guest has come lately
//	certified  its certificate was verified
//
// A new connection is not refused while another holder has more: when a class is full, the
// network with the most connections in it gives one up, of its address with the most, the
// one that has been idle the longest.

type class int

const (
	stranger class = iota
	known
	certified
	classes
)

func (c class) String() string { return [...]string{"stranger", "known", "certified"}[c] }

// The most that one certificate's holder may have open; a guest has one.
const maxPerCertificate = 16

// How long an address counts as known after a certified guest came from it: several of
// the 180 s after which guests come again. The most that are remembered.
const (
	knownFor = 15 * time.Minute
	maxKnown = 8192
)

// places records which connections have one. It alone owns the class and holders of a conn.
type places struct {
	max       [classes]int
	perSource int

	mu      sync.Mutex // guards what follows; held for a walk of one class at most
	open    [classes]map[*conn]struct{}
	holders map[holderKey]*holder
	seen    map[netip.Prefix]time.Time // when a certified guest came from there last
}

// holder is a network, an address in it, an authority, or a certificate of it.
type holder struct {
	key  holderKey
	open int
}

type holderKey struct {
	class class
	who   any
}

// newPlaces shares n places out.
func newPlaces(n, perSource int) *places {
	p := &places{perSource: perSource, holders: make(map[holderKey]*holder), seen: make(map[netip.Prefix]time.Time)}
	p.max = [classes]int{stranger: max(1, n/4), known: max(1, n/4)}
	p.max[certified] = max(1, n-p.max[stranger]-p.max[known])
	for c := range p.open {
		p.open[c] = make(map[*conn]struct{})
	}
	return p
}

// enter gives c a place before its handshake. It returns the connection that had to give
// one up, or nil. That one has no place any more, and the caller closes it.
func (p *places) enter(c *conn, now time.Time) (out *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	in := stranger
	if last, ok := p.seen[c.source]; ok && now.Sub(last) < knownFor {
		in = known
	}
	p.addLocked(c, in, c.network, c.source)
	return p.makeRoomLocked(c, p.perSource)
}

// certify moves c to the places of certified guests, held by who, a certificate of
// authority. If it returns c itself, there is no place for c.
func (p *places) certify(c *conn, authority, who any, now time.Time) (out *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.removeLocked(c) {
		return c // it has lost its place meanwhile
	}
	p.noteLocked(c.source, now)
	p.addLocked(c, certified, authority, who)
	return p.makeRoomLocked(c, maxPerCertificate)
}

// leave takes c's place back.
func (p *places) leave(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.removeLocked(c)
}

// shaking are those whose handshake is not over.
func (p *places) shaking() (list []*conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, in := range []class{stranger, known} {
		for c := range p.open[in] {
			if !c.shaken.Load() {
				list = append(list, c)
			}
		}
	}
	return list
}

func (p *places) addLocked(c *conn, in class, outer, inner any) {
	c.class = in
	for i, who := range [2]any{outer, inner} {
		key := holderKey{in, who}
		h := p.holders[key]
		if h == nil {
			h = &holder{key: key}
			p.holders[key] = h
		}
		h.open++
		c.holders[i] = h
	}
	p.open[in][c] = struct{}{}
}

func (p *places) removeLocked(c *conn) bool {
	if _, ok := p.open[c.class][c]; !ok {
		return false
	}
	delete(p.open[c.class], c)
	for _, h := range c.holders {
		if h.open--; h.open == 0 {
			delete(p.holders, h.key)
		}
	}
	return true
}

// makeRoomLocked takes a place from a connection if c, the latest, is one too many.
func (p *places) makeRoomLocked(c *conn, share int) (out *conn) {
	switch own := c.holders[1]; {
	case own.open > share:
		out = p.lastLocked(c, own)
	case len(p.open[c.class]) > p.max[c.class]:
		out = p.lastLocked(c, nil)
	default:
		return nil
	}
	p.removeLocked(out)
	return out
}

// lastLocked returns the connection that gives up its place for c, among those of one holder
// if it is not nil.
// A call of a certified guest that is under way is not cut off: c itself goes before.
func (p *places) lastLocked(c *conn, of *holder) *conn {
	last, lastIdle := c, c.idleSince.Load()
	for other := range p.open[c.class] {
		idle := other.idleSince.Load()
		if of != nil && other.holders[1] != of || c.class == certified && idle == 0 {
			continue
		}
		if last == c && c.class == certified || before(other, idle, last, lastIdle) {
			last, lastIdle = other, idle
		}
	}
	return last
}

// before reports whether a goes before b.
func before(a *conn, aIdle int64, b *conn, bIdle int64) bool {
	for i := range a.holders {
		if n, m := a.holders[i].open, b.holders[i].open; n != m {
			return n > m
		}
	}
	if aIdle == 0 || bIdle == 0 { // one of them waits for us, not we for it
		return aIdle != 0
	}
	return aIdle < bIdle
}

// noteLocked remembers that a certified guest has come from source.
func (p *places) noteLocked(source netip.Prefix, now time.Time) {
	if _, ok := p.seen[source]; !ok && len(p.seen) >= maxKnown {
		for s, last := range p.seen {
			if now.Sub(last) >= knownFor {
				delete(p.seen, s)
			}
		}
		if len(p.seen) >= maxKnown {
			return
		}
	}
	p.seen[source] = now
}

// sourceOf returns the source of a client, and the network that one owner of several sources has
// at least: a /24 or a /48. All clients without an IP address are one source.
func sourceOf(a net.Addr) (of, network netip.Prefix) {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.Prefix{}, netip.Prefix{}
	}
	addr := tcp.AddrPort().Addr()
	return source.Of(addr), source.Network(addr, 24, 48)
}
