package customdomain

import (
	"hash/maphash"
	"math/bits"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// cache remembers answers in a table of a fixed size: a name belongs to one set of
// a few places, and a new name takes the place of one that is no longer of use,
// else of a random one. So it is bounded by construction, whatever client chooses the
// names, and is read without a lock: a loop that asks never waits for another one.
type cache struct {
	seed maphash.Seed
	sets []set      // as many as a power of two
	mu   sync.Mutex // held by writers
}

const ways = 8 // one cache line of pointers

type set [ways]atomic.Pointer[entry]

// entry is an answer and how long it is good. It is not changed.
type entry struct {
	host   string
	target Target
	err    error
	fresh  time.Time // until then it is returned without a query
	kept   time.Time // from fresh until then it will do if asking fails; zero if it will not
}

// over reports whether e is no longer of use.
func (e *entry) over(now time.Time) bool { return !now.Before(e.fresh) && !now.Before(e.kept) }

// newCache makes a cache for size names; about, because the sets fill unevenly.
func newCache(size int) *cache {
	n := max(1, (size+ways-1)/ways)
	return &cache{seed: maphash.MakeSeed(), sets: make([]set, 1<<bits.Len(uint(n-1)))}
}

func (c *cache) setOf(host []byte) *set {
	return &c.sets[maphash.Bytes(c.seed, host)&uint64(len(c.sets)-1)]
}

// get returns the entry of host, fresh or not; nil if there is none.
func (c *cache) get(host []byte) *entry {
	s := c.setOf(host)
	for i := range s {
		if e := s[i].Load(); e != nil && e.host == string(host) {
			return e
		}
	}
	return nil
}

// put enters e, in place of another entry of its host.
func (c *cache) put(e *entry, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.setOf([]byte(e.host))
	place := -1
	for i := range s {
		switch old := s[i].Load(); {
		case old == nil || old.over(now):
			place = i
		case old.host == e.host:
			s[i].Store(e)
			return
		}
	}
	if place < 0 {
		place = rand.IntN(ways)
	}
	s[place].Store(e)
}

// remove forgets host.
func (c *cache) remove(host []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.setOf(host)
	for i := range s {
		if e := s[i].Load(); e != nil && e.host == string(host) {
			s[i].Store(nil)
		}
	}
}
