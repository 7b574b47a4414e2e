package registry

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"sallyport/internal/vm"
)

func (g *rig) policy(t testing.TB, id vm.InstanceID) vm.PortPolicy {
	t.Helper()
	s, ok := g.board.get(id)
	if !ok {
		t.Errorf("instance %s is not published", id)
	}
	return s.Policy
}

func TestReportedPolicyIsInForce(t *testing.T) {
	g := newRig(t, nil)
	q := request("app", "one")
	g.register(t, q)
	narrow := restricted(t, 443)
	q.Policy = &narrow
	if got := g.register(t, q); !got.Changed || g.policy(t, "one") != narrow {
		t.Errorf("policy %v, granted %+v", g.policy(t, "one").Rules(), got)
	}
	g.restart(t)
	if g.policy(t, "one") != narrow {
		t.Error("lost by a restart")
	}
	q.Policy = nil
	q.Compose = compose("another")
	if g.register(t, q); g.policy(t, "one").State() != vm.PolicyUnknown {
		t.Error("the policy of another compose file is still in force")
	}
}

func TestOverrideIsNeverLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, nil)
		q := request("app", "one")
		g.register(t, q)
		mine := restricted(t, 22)
		if err := g.SetOverride(t.Context(), "one", &mine); err != nil {
			t.Fatal(err)
		}
		holds := func(when string) {
			t.Helper()
			if g.policy(t, "one") != mine {
				t.Errorf("%s: policy is %v", when, g.policy(t, "one").Rules())
			}
		}
		holds("set")
		q.Key = key("another")
		g.register(t, q)
		holds("after a new key")
		open := vm.OpenPolicy()
		q.Policy, q.Compose = &open, compose("another")
		g.register(t, q)
		holds("after another report")
		q.Compose = vm.ComposeHash{}
		g.register(t, q)
		g.restart(t)
		holds("after a restart")
		g.opts.Reserved = append(g.opts.Reserved, pfx("10.8.0.2/32"))
		g.restart(t)
		if got := g.register(t, q); got.Spec.Addr.String() != "10.8.0.3" {
			t.Errorf("address %s", got.Spec.Addr)
		}
		holds("after another address")
		wait(11 * time.Hour)
		if err := g.sweep(t.Context()); err != nil || len(g.board.all()) != 0 {
			t.Fatal("not recycled", err)
		}
		g.restart(t)
		g.register(t, q)
		holds("after recycling")
		if err := g.SetOverride(t.Context(), "one", nil); err != nil || g.policy(t, "one") != open {
			t.Errorf("taken away: %v, %v", err, g.policy(t, "one").State())
		}
		g.restart(t)
		if g.policy(t, "one") != open {
			t.Error("back after a restart")
		}
		g.consistent(t)
	})
}

func TestOverrideOfAnUnknownInstanceIsRefused(t *testing.T) {
	g := newRig(t, nil)
	open := vm.OpenPolicy()
	if err := g.SetOverride(t.Context(), "nobody", &open); !errors.Is(err, ErrUnknown) {
		t.Errorf("set: %v", err)
	}
	if err := g.SetOverride(t.Context(), "nobody", nil); err != nil {
		t.Errorf("taken away: %v", err)
	}
}

func TestOverrideDoesNotMakeRegistrationsChanges(t *testing.T) {
	g := newRig(t, nil)
	q := request("app", "one")
	g.register(t, q)
	mine := restricted(t, 22)
	if err := g.SetOverride(t.Context(), "one", &mine); err != nil {
		t.Fatal(err)
	}
	if got := g.register(t, q); got.Changed || got.Spec.Policy != mine {
		t.Errorf("granted %+v", got)
	}
}
