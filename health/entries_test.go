package health

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"sallyport/internal/vm"
)

func TestRekeyedInstanceStartsAgain(t *testing.T) {
	for what, change := range map[string]func(*vm.Spec){
		"key":     func(s *vm.Spec) { s.Key = vm.WGKey{9} },
		"address": func(s *vm.Spec) { s.Addr = s.Addr.Next() },
		"app":     func(s *vm.Spec) { s.App = "other" },
	} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, spec("app", "a", 1))
				w.shake(1, time.Now())
				w.run()
				old := w.find("a")
				s := old.Spec
				change(&s)
				w.Upsert(s)
				w.want("a", vm.Never, 0)
				if w.find("a").Live == old.Live || !slices.Equal(w.gone, []string{"a rekeyed"}) {
					t.Errorf("told %q, the counters are the old ones: %v", w.gone, w.find("a").Live == old.Live)
				}
				old.Live.Dialled(80, true) // late words about the old one
				old.Live.Dialled(80, false)
				old.Live.Dialled(80, false)
				old.Live.Dialled(80, false)
				w.want("a", vm.Never, 0)
			})
		})
	}
}

func TestNewPolicyKeepsTheRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, spec("app", "a", 1))
		w.shake(1, time.Now())
		w.run()
		old := w.find("a")
		s := old.Spec
		s.Policy, s.Compose = vm.PortPolicy{}, vm.ComposeHash{1}
		w.Upsert(s)
		w.want("a", vm.Fresh, 100)
		if got := w.find("a"); got.Spec != s || got.Live != old.Live || len(w.gone) > 0 {
			t.Errorf("%+v, gone %v", got, w.gone)
		}
	})
}

// A refused instance has no traffic, whatever its tunnel says; its connections end. When it
// is let in again its tunnel was set up anew: it waits for a handshake, and starts slowly.
func TestRefusedInstanceHasNoTraffic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, spec("app", "a", 1), spec("app", "b", 2))
		w.shake(1, time.Now())
		w.shake(2, time.Now())
		w.run()
		old := w.find("a")
		s := old.Spec
		s.Refused = "attestation: it is too old"
		w.Upsert(s)
		w.want("a", vm.Refused, 0)
		w.want("b", vm.Fresh, 100)
		if w.find("a").Live == old.Live || !slices.Equal(w.gone, []string{"a refused"}) {
			t.Errorf("told %q, the counters are the old ones: %v", w.gone, w.find("a").Live == old.Live)
		}
		if row := w.Status()[0]; row.Health != vm.Refused || row.Reason != "attestation: it is too old" {
			t.Errorf("status %+v", row)
		}
		s.Refused = "attestation: it is revoked"
		w.Upsert(s)
		if row := w.Status()[0]; row.Reason != "attestation: it is revoked" || len(w.gone) != 1 {
			t.Errorf("status %+v, told %q", row, w.gone)
		}
		w.shake(1, time.Time{}) // the tunnel was taken down
		pass(time.Hour)
		w.want("a", vm.Refused, 0)

		s.Refused = ""
		w.Upsert(s)
		w.want("a", vm.Never, 0)
		w.shake(1, time.Now())
		pass(2 * time.Second)
		if inst := w.find("a"); inst.Health != vm.Warming || inst.Spec != s || len(w.gone) != 1 {
			t.Errorf("let in again: %+v, told %q", inst, w.gone)
		}
	})
}

func TestRemovedInstanceIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, spec("app", "a", 1), spec("app", "b", 2))
		w.shake(1, time.Now())
		w.run()
		live := w.find("a").Live
		w.Remove("a", "a", "nobody")
		if app, inst := w.Snapshot().Lookup([]byte("a")); app != nil || inst != nil {
			t.Errorf("found %v, %v", app, inst)
		}
		if !slices.Equal(w.gone, []string{"a removed"}) {
			t.Errorf("told %q", w.gone)
		}
		live.Dialled(80, true)
		live.Dialled(80, false)
		live.Dialled(80, false)
		live.Dialled(80, false)
		pass(time.Hour)
		if _, n := w.Snapshot().Len(); n != 1 || len(w.Status()) != 1 {
			t.Errorf("%d instances, status %v", n, w.Status())
		}
	})
}

func TestEachStateIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, spec("a", "fresh", 1), spec("a", "never", 2), spec("a", "down", 3), spec("a", "gone", 4))
		registry := prometheus.NewRegistry()
		registry.MustRegister(w.Collectors()...)
		w.shake(1, time.Now())
		w.shake(3, time.Now().Add(-time.Hour))
		w.shake(4, time.Now())
		w.run()
		w.Remove("gone")
		var want strings.Builder
		want.WriteString("# HELP gateway_instances Instances by health.\n# TYPE gateway_instances gauge\n")
		for _, state := range []string{"down 1", "ejected 0", "fresh 1", "never 1", "refused 0", "stale 0", "warming 0"} {
			name, n, _ := strings.Cut(state, " ")
			fmt.Fprintf(&want, "gateway_instances{state=%q} %s\n", name, n)
		}
		if err := testutil.GatherAndCompare(registry, strings.NewReader(want.String())); err != nil {
			t.Error(err)
		}
	})
}

func TestStatusShowsStateReasonAndAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, spec("b", "x", 1), spec("a", "y", 2), spec("a", "x2", 3))
		start := time.Now()
		w.shake(1, start)
		w.run()
		w.find("x").Live.Opened()
		pass(4 * time.Minute)
		all := w.Status()
		if len(all) != 3 || all[0].Instance != "x2" || all[1].Instance != "y" || all[2].Instance != "x" {
			t.Fatalf("order %+v", all)
		}
		s := all[2]
		if s.Health != vm.Stale || s.Age != 4*time.Minute || s.Since.Sub(start) != staleAge || s.Open != 1 ||
			s.Weight != staleWeight || !strings.Contains(s.Reason, "session") {
			t.Errorf("%+v", s)
		}
		if all[0].Health != vm.Never || all[0].Age >= 0 {
			t.Errorf("%+v", all[0])
		}
	})
}

func TestTransitionsAreLoggedWithTheirReason(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, spec("app", "a", 1))
		w.shake(1, time.Now())
		w.run()
		pass(6 * time.Minute)
		for _, line := range []string{
			"first handshakes read\" fresh=1",
			"instance=a app=app from=fresh to=stale reason=\"its session has expired",
			"from=stale to=down reason=\"no handshake for 5m0s\"",
		} {
			if !strings.Contains(w.log.String(), line) {
				t.Errorf("no line with %s in:\n%s", line, w.log.String())
			}
		}
		if n := strings.Count(w.log.String(), "\n"); n != 3 {
			t.Errorf("%d lines, want 3:\n%s", n, w.log.String())
		}
	})
}
