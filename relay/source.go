package relay

import (
	"encoding/binary"
	"math/bits"
	"math/rand/v2"
	"net/netip"
	"sync"

	"sallyport/internal/source"
)

// sourceKey is a client's source (package source) in 16 bytes: the table has one of each.
type sourceKey struct{ high, low uint64 }

func keyOf(a netip.Addr) sourceKey {
	b := source.Of(a).Addr().As16() // an IPv4 address is in ::ffff:0:0/96, which is nobody's
	return sourceKey{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])}
}

// sources counts the connections of each source, in all and by the Limit that they hold a
// place of. What it keeps is bounded by the connections that are open: a source without
// one is not in it.
//
// All loops share it. Each access locks one of many shards for the time of a map access,
// so that two loops hardly ever meet; which source is in which is not known outside.
type sources struct {
	seed   [2]uint64
	shards [256]shard
}

type shard struct {
	mu   sync.Mutex // guards open; held for a map access only
	open map[held]int
	_    [48]byte // the next shard is on another cache line
}

// held is what is counted: the connections of a source, or its places of a Limit.
type held struct {
	of sourceKey
	in Limit // nil: all connections
}

func newSources() *sources { return &sources{seed: [2]uint64{rand.Uint64(), rand.Uint64()}} }

func (s *sources) shardOf(src sourceKey) *shard {
	high, low := bits.Mul64(src.high^s.seed[0], src.low^s.seed[1])
	return &s.shards[(high^low)%uint64(len(s.shards))]
}

// acquire counts one more, unless there are limit already.
func (s *sources) acquire(h held, limit int) bool {
	sh := s.shardOf(h.of)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.open[h] >= limit {
		return false
	}
	if sh.open == nil {
		sh.open = make(map[held]int)
	}
	sh.open[h]++
	return true
}

// release takes back one acquire.
func (s *sources) release(h held) {
	sh := s.shardOf(h.of)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.open[h]--; sh.open[h] <= 0 {
		delete(sh.open, h)
	}
}

// admitSource counts a connection against MaxPerSource, from when its client is known:
// when it is accepted, or behind a balancer when its PROXY header is there. A balancer's
// own address is no client's.
func (c *conn) admitSource() Reason {
	e := c.loop.engine
	if e.opts.MaxPerSource == 0 || c.marks.has(ofBalancer) {
		return goOn
	}
	if !e.sources.acquire(held{of: keyOf(c.addr.Addr())}, e.opts.MaxPerSource) {
		return SourceLimit
	}
	c.marks.set(inSource)
	return goOn
}

// releaseSource takes admitSource back.
func (c *conn) releaseSource() {
	if c.marks.has(inSource) {
		c.loop.engine.sources.release(held{of: keyOf(c.addr.Addr())})
		c.marks.clear(inSource)
	}
}

// takePlace takes one of the places of limit, of which one source may hold share.
func (c *conn) takePlace(limit Limit, share int) Reason {
	place := held{keyOf(c.addr.Addr()), limit}
	counted := share > 0 && !c.marks.has(ofBalancer)
	if counted && !c.loop.engine.sources.acquire(place, share) {
		return SourceLimit
	}
	if !limit.Acquire() {
		if counted {
			c.loop.engine.sources.release(place)
		}
		return AppLimit
	}
	if c.limit = limit; counted {
		c.marks.set(inShare)
	}
	return goOn
}

// leavePlace gives the place back.
func (c *conn) leavePlace() {
	if c.limit == nil {
		return
	}
	if c.marks.has(inShare) {
		c.loop.engine.sources.release(held{keyOf(c.addr.Addr()), c.limit})
	}
	c.limit.Release()
	c.limit = nil
	c.marks.clear(inShare)
}
