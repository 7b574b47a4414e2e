package health

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sallyport/internal/vm"
)

// world is a Monitor at work on a device whose handshakes the test decides. It
// runs in a synctest bubble.
type world struct {
	*Monitor
	t    *testing.T
	log  bytes.Buffer
	gone []string

	mu     sync.Mutex
	shaken map[vm.WGKey]time.Time
	fail   error
	hang   bool
}

func newWorld(t *testing.T, specs ...vm.Spec) *world {
	w := &world{t: t, shaken: make(map[vm.WGKey]time.Time)}
	w.Monitor = New(Options{
		Handshakes: w.dump,
		OnGone: func(inst *vm.Instance, why Gone) {
			if _, found := w.Snapshot().Lookup([]byte(inst.ID)); found == inst {
				t.Errorf("%v is told as %v before the snapshot without it", inst.ID, why)
			}
			w.gone = append(w.gone, fmt.Sprint(inst.ID, " ", why))
		},
		Log: slog.New(slog.NewTextHandler(&w.log, nil)),
	})
	w.Upsert(specs...)
	return w
}

func (w *world) dump(ctx context.Context) (map[vm.WGKey]time.Time, error) {
	w.mu.Lock()
	hang := w.hang
	w.mu.Unlock()
	if hang {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.shaken), w.fail
}

// run starts the Monitor and stops it at the end of the test.
func (w *world) run() {
	ctx, cancel := context.WithCancel(w.t.Context())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	w.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			w.t.Errorf("Run: %v", err)
		}
	})
	synctest.Wait()
}

// shake lets the instance with the key shake hands at a time.
func (w *world) shake(key byte, at time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.shaken[vm.WGKey{key}] = at
}

func (w *world) device(fail error, hang bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fail, w.hang = fail, hang
}

func (w *world) find(id vm.InstanceID) *vm.Instance {
	w.t.Helper()
	_, inst := w.Snapshot().Lookup([]byte(id))
	if inst == nil {
		w.t.Fatalf("%v is not in the snapshot", id)
	}
	return inst
}

func (w *world) want(id vm.InstanceID, health vm.Health, weight uint16) {
	w.t.Helper()
	synctest.Wait()
	if inst := w.find(id); inst.Health != health || inst.Weight != weight {
		w.t.Errorf("%v is %v with weight %d, want %v with %d", id, inst.Health, inst.Weight, health, weight)
	}
}

// pass lets time pass.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func spec(app vm.AppID, id vm.InstanceID, key byte) vm.Spec {
	return vm.Spec{
		ID: id, App: app, Key: vm.WGKey{key}, Addr: netip.AddrFrom4([4]byte{10, 8, 0, key}),
		Policy: vm.OpenPolicy(),
	}
}

func TestHandshakeAgeDecides(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, spec("app", "a", 1))
		w.shake(1, time.Now())
		w.run()
		w.want("a", vm.Fresh, 100)
		for _, step := range []struct {
			until  time.Duration
			health vm.Health
			weight uint16
		}{
			{179 * time.Second, vm.Fresh, 100},
			{180 * time.Second, vm.Stale, 10},
			{5*time.Minute - 1, vm.Stale, 10},
			{5 * time.Minute, vm.Down, 0},
			{5*time.Minute + 1, vm.Down, 0},
			{time.Hour, vm.Down, 0},
		} {
			w.mu.Lock()
			pause := step.until - time.Since(w.shaken[vm.WGKey{1}])
			w.mu.Unlock()
			pass(pause)
			w.want("a", step.health, step.weight)
		}
	})
}

func TestInstanceComesBackWhenItShakesHandsAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, spec("app", "a", 1))
		w.shake(1, time.Now())
		w.run()
		pass(6 * time.Minute)
		w.want("a", vm.Down, 0)
		w.shake(1, time.Now())
		pass(defaultInterval)
		w.want("a", vm.Warming, 14)
		for _, weight := range []uint16{28, 42, 57, 71, 85} {
			pass(warmStep)
			w.want("a", vm.Warming, weight)
		}
		pass(warmStep)
		w.want("a", vm.Fresh, 100)
	})
}

func TestNeverIsAStateOfItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, spec("app", "a", 1), spec("app", "b", 2))
		w.shake(1, time.Time{}) // b is not in the dump at all
		w.run()
		pass(time.Hour)
		w.want("a", vm.Never, 0)
		w.want("b", vm.Never, 0)
	})
}

func TestFirstSetNeedsNoSlowStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, spec("app", "old", 1), spec("app", "late", 2))
		w.shake(1, time.Now())
		w.run()
		pass(20 * time.Second)
		w.Upsert(spec("app", "new", 3))
		w.shake(2, time.Now())
		w.shake(3, time.Now())
		pass(defaultInterval)
		w.want("old", vm.Fresh, 100)
		w.want("late", vm.Fresh, 100)
		w.want("new", vm.Warming, 14)
	})
}

func TestNewcomerIsSeenWithinASecondOfItsHandshake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.run()
		w.Upsert(spec("app", "new", 1))
		pass(defaultInterval + time.Millisecond)
		w.shake(1, time.Now())
		pass(time.Second)
		w.want("new", vm.Warming, 14)
	})
}

// A guest shakes hands as soon as it has its answer, and its clients may come at
// once: it must not wait for the turn of those that are known.
func TestHandshakeAfterARegistrationIsSeenSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.run()
		pass(2 * time.Second) // in the middle of an interval
		w.Upsert(spec("app", "new", 1))
		pass(10 * time.Millisecond)
		w.shake(1, time.Now())
		pass(firstLook)
		w.want("new", vm.Warming, 14)
	})
}

func TestSteppedTimesChangeNoState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, spec("app", "future", 1), spec("app", "past", 2), spec("app", "ancient", 3))
		start := time.Now()
		w.shake(1, start.Add(time.Hour))
		w.shake(2, start)
		w.shake(3, start.Add(-100*365*24*time.Hour))
		w.run()
		for _, s := range w.Status() {
			if s.Age < 0 {
				t.Errorf("%v has age %v", s.Instance, s.Age)
			}
		}
		w.want("ancient", vm.Down, 0)
		w.want("future", vm.Fresh, 100)
		w.shake(2, start.Add(-time.Hour)) // the device was set up anew: nothing is taken back
		pass(time.Minute)
		w.want("past", vm.Fresh, 100)
		pass(4 * time.Minute)
		w.want("past", vm.Down, 0)
		w.want("future", vm.Down, 0) // counted once, as of its first sight
	})
}

func TestFailingDumpLetsInstancesAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, spec("app", "a", 1))
		w.shake(1, time.Now())
		w.run()
		w.device(errors.New("no such device"), false)
		pass(time.Minute)
		w.want("a", vm.Fresh, 100)
		pass(4 * time.Minute)
		w.want("a", vm.Down, 0)
		w.device(nil, false)
		w.shake(1, time.Now())
		pass(defaultInterval)
		w.want("a", vm.Warming, 14)
		for text, want := range map[string]int{"cannot be read": 1, "no such device": 1, "can be read again": 1} {
			if n := strings.Count(w.log.String(), text); n != want {
				t.Errorf("%q is logged %d times, want %d:\n%s", text, n, want, w.log.String())
			}
		}
	})
}

func TestHangingDumpDelaysNoInstance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, spec("app", "a", 1))
		w.shake(1, time.Now())
		w.run()
		w.device(nil, true)
		pass(5*time.Minute - time.Nanosecond)
		w.want("a", vm.Stale, 10)
		pass(time.Nanosecond)
		w.want("a", vm.Down, 0)
	})
}

func TestSnapshotsAreMadeOnlyForAChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, spec("app", "a", 1), spec("app", "b", 2))
		w.run()
		before := w.Snapshot().Version
		for range 60 { // ten minutes of handshakes every ten seconds
			w.shake(1, time.Now())
			pass(10 * time.Second)
		}
		if got := w.Snapshot().Version; got != before+1 {
			t.Errorf("%d snapshots for one that became fresh, want 1", got-before)
		}
		w.Upsert(spec("app", "a", 1))
		w.Remove("nobody")
		if got := w.Snapshot().Version; got != before+1 {
			t.Error("a snapshot for nothing new")
		}
	})
}

func TestWithoutHandshakesEverybodyIsHealthy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t}
		w.Monitor = New(Options{Log: slog.New(slog.DiscardHandler)})
		w.Upsert(spec("app", "a", 0), spec("app", "b", 0))
		w.want("a", vm.Fresh, 100)
		w.run()
		pass(time.Hour)
		w.want("a", vm.Fresh, 100)
		w.want("b", vm.Fresh, 100)
		if s := w.Status()[0]; s.Age >= 0 {
			t.Errorf("age %v of a handshake that nobody saw", s.Age)
		}
	})
}
