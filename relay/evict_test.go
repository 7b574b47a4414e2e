package relay

import (
	"strconv"
	"testing"
	"time"

	"sallyport/internal/nonblock"
)

// listing makes a loop with n connections, each to a backend of its own.
func listing(t testing.TB, n int) *loop {
	t.Helper()
	l := &loop{engine: &Engine{began: time.Now()}}
	for i := range n {
		c := &conn{loop: l, phase: relaying, watch: &watcher{}}
		l.evictions.enter(c)
		// Refused, as there is no epoll instance; the owner is noted all the same.
		_ = l.poller.Add(int32(i), c, uint8(clientSide), nonblock.Both)
	}
	return l
}

// removeNobody is what a change of a key costs a loop without connections to that
// instance.
func (l *loop) removeNobody(w Watcher) {
	l.evictions.gone = append(l.evictions.gone, w)
	l.evict()
}

// The best of many turns is compared, so that a busy machine does not matter: a walk
// over all connections takes thousands of times as long as a look at the index.
func TestRemovedBackendCostsTheSameAmongManyConnections(t *testing.T) {
	best := func(l *loop) time.Duration {
		least := time.Hour
		for range 50 {
			began := time.Now()
			for range 10 {
				l.removeNobody(&watcher{})
			}
			least = min(least, time.Since(began))
		}
		return least
	}
	if one, many := best(listing(t, 1)), best(listing(t, 100_000)); many > 50*one {
		t.Errorf("10 removals take %v beside one connection and %v beside 100,000", one, many)
	}
}

func TestConnectionsOfARemovedBackendEndInTurns(t *testing.T) {
	l := testLoop(t)
	var gone, other watcher
	connect := func(w *watcher) *conn {
		c, _, _ := watchedPassing(t, l)
		c.watch = w
		l.evictions.enter(c)
		return c
	}
	stays := connect(&other)
	for range evictBudget + 10 {
		connect(&gone)
	}
	l.evictions.gone = append(l.evictions.gone, &gone)
	for _, want := range []int64{evictBudget, evictBudget + 10} {
		if !l.busy() {
			t.Error("the loop waits for events though connections are still to be ended")
		}
		l.evict()
		if n := -gone.open.Load(); n != want {
			t.Errorf("%d connections were ended, want %d", n, want)
		}
	}
	l.evict()
	if l.evictions.evicting() || stays.phase != relaying || len(l.evictions.by) != 1 {
		t.Errorf("after all: still evicting is %t, the other connection's phase %d, %d backends listed",
			l.evictions.evicting(), stays.phase, len(l.evictions.by))
	}
}

func TestListsOfBackendsFollowTheirConnections(t *testing.T) {
	var e evictions
	var w watcher
	var conns []*conn
	for range 4 {
		c := &conn{watch: &w}
		e.enter(c)
		conns = append(conns, c)
	}
	for _, i := range []int{1, 3, 0, 2} {
		e.leave(conns[i])
		e.leave(conns[i]) // in no list any more: nothing happens
		for at, c := range e.by[&w] {
			if c == conns[i] || int(c.listed) != at+1 {
				t.Fatalf("place %d has the wrong connection, or one that believes to be at %d", at+1, c.listed)
			}
		}
	}
	if len(e.by) != 0 {
		t.Errorf("%d lists are left", len(e.by))
	}
}

func TestAllConnectionsEndInTurns(t *testing.T) {
	l := testLoop(t)
	var w watcher
	const n = evictBudget + 10
	for range n {
		c, _, _ := watchedPassing(t, l)
		c.watch = &w
		l.evictions.enter(c)
	}
	l.evictions.all = true
	for _, want := range []int64{evictBudget, n} {
		l.evict()
		if got := -w.open.Load(); got != want {
			t.Errorf("%d connections were ended, want %d", got, want)
		}
	}
	if l.evictions.evicting() {
		t.Error("the walk does not end")
	}
}

func BenchmarkRemovedBackend(b *testing.B) {
	for _, n := range []int{1000, 100_000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			l, w := listing(b, n), &watcher{}
			b.ReportAllocs()
			for b.Loop() {
				l.removeNobody(w)
			}
		})
	}
}
