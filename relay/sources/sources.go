// Package sources counts the connections of each source of clients, and how many places of a
// limit each of them holds.
package sources

import (
	"encoding/binary"
	"math/bits"
	"math/rand/v2"
	"net/netip"
	"sync"

	"sallyport/internal/source"
)

// A Key is the source of a client's address (package source) in 16 bytes, because a table
// holds many of them.
type Key struct{ high, low uint64 }

// Of returns the source of a client's address.
func Of(a netip.Addr) Key {
	b := source.Of(a).Addr().As16() // IPv4 addresses are in ::ffff:0:0/96, which no IPv6 source is
	return Key{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])}
}

// Held is a count of a Table: the connections of a source, or its places of a limit.
type Held struct {
	By Key
	Of any // the limit, a comparable value; nil: all connections
}

// A Table counts what sources hold. The connections that are open bound its size: it keeps
// nothing of a source that holds nothing.
//
// All loops share it. Each access locks one of many shards for the time of a map access, so
// two loops hardly ever wait for each other. Clients cannot know which source is in which
// shard.
type Table struct {
	seed   [2]uint64
	shards [256]shard
}

type shard struct {
	mu   sync.Mutex // guards open; held for a map access only
	open map[Held]int
	_    [48]byte // the next shard is on another cache line
}

// New returns an empty table.
func New() *Table { return &Table{seed: [2]uint64{rand.Uint64(), rand.Uint64()}} }

func (t *Table) shardOf(k Key) *shard {
	high, low := bits.Mul64(k.high^t.seed[0], k.low^t.seed[1])
	return &t.shards[(high^low)%uint64(len(t.shards))]
}

// Acquire counts one more, and reports whether it did: not if there are limit already.
func (t *Table) Acquire(h Held, limit int) bool {
	sh := t.shardOf(h.By)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.open[h] >= limit {
		return false
	}
	if sh.open == nil {
		sh.open = make(map[Held]int)
	}
	sh.open[h]++
	return true
}

// Release takes back one Acquire.
func (t *Table) Release(h Held) {
	sh := t.shardOf(h.By)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.open[h]--; sh.open[h] <= 0 {
		delete(sh.open, h)
	}
}

// Len returns how many counts are above zero.
func (t *Table) Len() (n int) {
	for i := range t.shards {
		sh := &t.shards[i]
		sh.mu.Lock()
		n += len(sh.open)
		sh.mu.Unlock()
	}
	return n
}
