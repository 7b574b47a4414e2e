package customdomain

import (
	"strconv"
	"sync"
	"testing"
	"time"

	"sallyport/internal/vm"
)

// size counts the entries of a cache.
func (c *cache) size() (n int) {
	for i := range c.sets {
		for j := range c.sets[i] {
			if c.sets[i][j].Load() != nil {
				n++
			}
		}
	}
	return n
}

func entryFor(host string, fresh time.Time) *entry { return &entry{host: host, fresh: fresh} }

func TestCacheIsBounded(t *testing.T) {
	for size, want := range map[int]int{1: 8, 8: 8, 9: 16, 64: 64, 4096: 4096} {
		c := newCache(size)
		now := time.Now()
		for i := range 20 * want {
			c.put(entryFor(strconv.Itoa(i), now.Add(time.Minute)), now)
		}
		if got := c.size(); got > want || got < want*9/10 {
			t.Errorf("%d: %d names, want about %d", size, got, want)
		}
	}
}

func TestNewEntryTakesThePlaceOfOneThatIsOver(t *testing.T) {
	c := newCache(ways)
	now := time.Now()
	for i := range ways {
		c.put(entryFor(strconv.Itoa(i), now.Add(time.Duration(i+1)*time.Minute)), now)
	}
	later := now.Add(time.Minute) // 0 is over
	c.put(entryFor("new", later.Add(time.Minute)), later)
	if c.get([]byte("0")) != nil || c.get([]byte("new")) == nil || c.size() != ways {
		t.Errorf("%d names; the one that is over stayed, or the new one is missing", c.size())
	}
	for i := 1; i < ways; i++ {
		if c.get([]byte(strconv.Itoa(i))) == nil {
			t.Errorf("%d has gone though it was good", i)
		}
	}
}

func TestRecordThatMayStillServeIsNotOver(t *testing.T) {
	now := time.Now()
	e := &entry{fresh: now.Add(time.Minute), kept: now.Add(time.Hour)}
	if e.over(now.Add(2*time.Minute)) || !e.over(now.Add(time.Hour)) {
		t.Error("over while it is kept, or kept when it is over")
	}
}

func TestNameHasOneEntry(t *testing.T) {
	c := newCache(64)
	now := time.Now()
	for i := range 100 {
		c.put(entryFor("a", now.Add(time.Duration(i))), now)
	}
	if got := c.get([]byte("a")); c.size() != 1 || !got.fresh.Equal(now.Add(99)) {
		t.Errorf("%d entries, the found one good until %v", c.size(), got.fresh.Sub(now))
	}
	c.remove([]byte("a"))
	if c.get([]byte("a")) != nil || c.size() != 0 {
		t.Error("still there")
	}
}

// A stranger's names without a record do not drive out those with one.
func TestAbsentNamesTakeNoPlaceOfRecords(t *testing.T) {
	a := newAskingZone(t, Options{CacheSize: 8, NegativeCacheSize: 8, MissesPerSecond: 1000}, record("a:1"))
	a.expect(t, www, "a:1", nil, 1)
	for i := range 100 {
		a.expect(t, "x"+strconv.Itoa(i)+".example", "", ErrNotFound, 2)
	}
	if _, ok := a.Cached([]byte(www)); !ok || a.failed.size() > 8 {
		t.Errorf("remembered: %v, beside %d absent names", ok, a.failed.size())
	}
}

func TestReadersNeedNoLock(t *testing.T) {
	r := newResolver(t, Options{CacheSize: 8})
	label, _ := vm.ParseLabel("a")
	a := answer{target: Target{ID: label, Port: 1}, ttl: time.Minute}
	r.remember(www, a)
	r.found.mu.Lock() // a writer that takes its time
	defer r.found.mu.Unlock()
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for range 1000 {
				if got, ok := r.Cached([]byte(www)); !ok || got != a.target {
					t.Errorf("%v, %v", got, ok)
					return
				}
			}
		})
	}
	readers.Wait()
}

func TestReadersBesideWriters(t *testing.T) {
	r := newResolver(t, Options{CacheSize: 8})
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() {
			for j := range 1000 {
				host := "x" + strconv.Itoa((i+j)%20) + ".example"
				label, _ := vm.ParseLabel("x" + strconv.Itoa((i+j)%20))
				if j%2 == 0 {
					r.remember(host, answer{target: Target{ID: label, Port: 1}, ttl: time.Minute})
				}
				if got, ok := r.Cached([]byte(host)); ok && got.ID != label {
					t.Errorf("%s: %v", host, got)
				}
			}
		})
	}
	all.Wait()
}

func TestCachedDoesNotAllocate(t *testing.T) {
	r := newResolver(t, Options{})
	label, _ := vm.ParseLabel("a")
	r.remember(www, answer{target: Target{ID: label, Port: 1}, ttl: time.Minute})
	for _, name := range []string{"www.customer.org", "unknown.example", "no name"} {
		b := []byte(name)
		if n := testing.AllocsPerRun(100, func() { r.Cached(b) }); n > 0 {
			t.Errorf("%q: %v allocations", name, n)
		}
	}
}

func BenchmarkCached(b *testing.B) {
	for name, host := range map[string]string{"hit": "www.customer17.org", "miss": "www.customer-unknown.org"} {
		b.Run(name, func(b *testing.B) {
			r := New(Options{})
			defer r.Close()
			label, _ := vm.ParseLabel("a")
			for i := range 3000 {
				r.remember("www.customer"+strconv.Itoa(i)+".org", answer{target: Target{ID: label, Port: 1}, ttl: time.Hour})
			}
			asked := []byte(host)
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					r.Cached(asked)
				}
			})
		})
	}
}
