package registry

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"sallyport/internal/vm"
)

func TestAppHasAtMostItsNumberOfInstances(t *testing.T) {
	g := newRig(t, func(o *Options) { o.MaxPerApp = 2 })
	g.register(t, request("app", "one"))
	g.register(t, request("app", "two"))
	g.refuses(t, request("app", "three"), ErrAppFull)
	g.register(t, request("other", "four"))
	again := request("app", "one")
	again.Key = key("new")
	g.register(t, again) // a registered instance stays, and may change

	g.opts.MaxPerApp = 1
	g.restart(t)
	if n := len(g.board.all()); n != 3 {
		t.Errorf("%d are published after the limit became lower", n)
	}
	g.refuses(t, request("app", "three"), ErrAppFull)
}

func TestAppsShareThePool(t *testing.T) {
	g := newRig(t, func(o *Options) {
		o.Pool, o.PoolShare = netip.MustParsePrefix("10.8.1.0/27"), 50 // 32 addresses
	})
	got := map[string]int{}
	for _, app := range []string{"first", "second", "third"} {
		for i := range 33 {
			_, err := g.Register(t.Context(), request(app, fmt.Sprint(app, i)))
			if err != nil {
				g.refuses(t, request(app, fmt.Sprint(app, i)), ErrAppShare)
				break
			}
			got[app]++
		}
	}
	if got["first"] != 16 || got["second"] != 8 || got["third"] != 4 {
		t.Errorf("the apps have %v, want a half, and then a half of what is left", got)
	}
	g.register(t, request("first", "first0")) // an instance keeps its address
	changed := request("first", "first1")
	changed.Key = key("new")
	g.register(t, changed)
	g.consistent(t)
}

func TestAppMayTakeTheLastAddress(t *testing.T) {
	g := newRig(t, func(o *Options) {
		o.Pool, o.PoolShare = netip.MustParsePrefix("10.8.1.0/31"), 50
	})
	g.register(t, request("app", "one"))
	g.refuses(t, request("app", "two"), ErrAppShare)
	g.register(t, request("other", "three"))
	g.refuses(t, request("third", "four"), ErrExhausted)
}

func TestInstanceChangesAtAPace(t *testing.T) {
	c, now := newChanges(10*time.Second), time.Unix(1_700_000_000, 0)
	for _, step := range []struct {
		wait time.Duration
		want int
	}{{0, 3}, {9 * time.Second, 0}, {time.Second, 1}, {20 * time.Second, 2}, {time.Hour, 3}} {
		now = now.Add(step.wait)
		got := 0
		for range 10 {
			if c.take("one", now) == nil {
				got++
			}
		}
		if got != step.want {
			t.Errorf("after %v: %d changes, want %d", step.wait, got, step.want)
		}
	}
	if err := c.take("two", now); err != nil {
		t.Errorf("another instance: %v", err)
	}
	for i := range 10_000 {
		_ = c.take(vm.InstanceID(fmt.Sprint(i)), now.Add(time.Duration(i)*time.Minute))
	}
	if len(c.whole) > 1024 {
		t.Errorf("%d instances are remembered", len(c.whole))
	}
}

func TestChangesBeyondThePaceReachNeitherStoreNorTunnel(t *testing.T) {
	g := newRig(t, func(o *Options) { o.ChangeInterval = time.Hour })
	q := request("app", "one")
	for i := range changeBurst {
		q.Key = key(fmt.Sprint("key", i))
		g.register(t, q)
	}
	_, revision, _ := g.store.List(t.Context(), "")
	calls := g.dev.calls
	late := q
	late.Key = key("late")
	g.refuses(t, late, ErrTooOften)
	if _, now, _ := g.store.List(t.Context(), ""); now != revision || g.dev.calls != calls {
		t.Errorf("store %d → %d, device %d → %d", revision, now, calls, g.dev.calls)
	}
	for range 100 { // what changes nothing is not counted
		g.register(t, q)
	}
	g.register(t, request("app", "two"))
}
