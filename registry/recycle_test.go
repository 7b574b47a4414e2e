package registry

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"sallyport/internal/vm"
)

// run runs the registry until the returned function is called.
func (g *rig) run(t testing.TB) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	r := g.Registry
	go func() { done <- r.Run(ctx) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	}
}

func TestSilentInstanceIsRecycledAndItsAddressRests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, func(o *Options) {
			o.Handshakes = func(context.Context) (map[vm.WGKey]time.Time, error) { return nil, nil }
		})
		stop := g.run(t)
		q := request("app", "one")
		first := g.register(t, q).Spec.Addr
		wait(9 * time.Hour)
		g.register(t, q) // a sign of life
		wait(9 * time.Hour)
		if _, ok := g.board.get("one"); !ok {
			t.Fatal("removed though it had registered")
		}
		wait(time.Hour + 6*time.Minute)
		if len(g.board.all()) != 0 || len(g.dev.all()) != 0 || g.table.poolStatus().Resting != 1 {
			t.Fatalf("still there: %v, %v, %+v", g.board.all(), g.dev.all(), g.table.poolStatus())
		}
		if a := g.register(t, request("app", "two")).Spec.Addr; a == first {
			t.Error("its address was given to another at once")
		}
		stop()
		g.restart(t) // the rest goes on
		stop = g.run(t)
		if a := g.register(t, request("app", "three")).Spec.Addr; a == first {
			t.Error("its address was given to another after a restart")
		}
		wait(11 * time.Minute)
		if a := g.register(t, request("app", "four")).Spec.Addr; a != first {
			t.Errorf("after its rest %s is not handed out, but %s", first, a)
		}
		g.consistent(t)
		stop()
	})
}

func TestRestLastsOverARestartWithoutRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, nil)
		first := g.register(t, request("app", "one")).Spec.Addr
		wait(11 * time.Hour)
		if err := g.sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		wait(9 * time.Minute)
		g.restart(t)
		if p := g.table.poolStatus(); p.Resting != 1 || p.Used != 0 {
			t.Errorf("pool %+v", p)
		}
		wait(time.Minute + 2*restSlack)
		g.restart(t)
		if a := g.register(t, request("app", "two")).Spec.Addr; a != first {
			t.Errorf("handed out %s, want %s", a, first)
		}
	})
}

func TestHandshakeKeepsAnInstance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var fail error
		hands := map[vm.WGKey]time.Time{}
		g := newRig(t, func(o *Options) {
			o.Handshakes = func(context.Context) (map[vm.WGKey]time.Time, error) { return hands, fail }
		})
		g.register(t, request("app", "one"))
		wait(20 * time.Hour)
		hands[key("one")] = time.Now().Add(-time.Hour)
		if err := g.sweep(t.Context()); err != nil || len(g.board.all()) != 1 {
			t.Errorf("removed though it has shaken hands (%v)", err)
		}
		wait(20 * time.Hour)
		fail = errors.New("no dump")
		if err := g.sweep(t.Context()); !errors.Is(err, fail) || len(g.board.all()) != 1 {
			t.Errorf("removed although its handshakes are not known (%v)", err)
		}
		fail = nil
		if err := g.sweep(t.Context()); err != nil || len(g.board.all()) != 0 {
			t.Errorf("not removed (%v)", err)
		}
	})
}

func TestPeerThatCannotBeRemovedKeepsItsAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, nil)
		g.register(t, request("app", "one"))
		wait(11 * time.Hour)
		stuck := errors.New("device is stuck")
		g.dev.before = func(string) error { return stuck }
		if err := g.sweep(t.Context()); !errors.Is(err, stuck) {
			t.Errorf("sweep: %v", err)
		}
		if len(g.board.all()) != 0 || g.table.poolStatus().Used != 1 {
			t.Errorf("%v, pool %+v", g.board.all(), g.table.poolStatus())
		}
		g.dev.before = nil
		g.register(t, request("app", "one")) // it is back, as it was
		g.consistent(t)
		if len(g.board.all()) != 1 {
			t.Error("not published again")
		}
	})
}

// A registration that comes while the instance is being removed waits, and is a new one.
func TestRegistrationDuringRemovalIsNotLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, nil)
		q := request("app", "one")
		old := g.register(t, q).Spec.Addr
		wait(11 * time.Hour)
		result := make(chan Grant, 1)
		g.dev.before = func(call string) error {
			if call == "remove peer" {
				go func() { result <- g.register(t, q) }()
				wait(time.Second)
			}
			return nil
		}
		if err := g.sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := <-result; !got.Changed || got.Spec.Addr == old {
			t.Errorf("granted %+v", got)
		}
		g.consistent(t)
	})
}
