package registry

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"sallyport/internal/vm"
	"sallyport/registry/pool"
	"sallyport/registry/store"
)

// faults breaks the gateway at its nth step: before or after each commit, and each
// change of the tunnel and the data plane.
type faults struct {
	step int
	at   int
	dies bool // with the process; else the step fails with an error
}

var errFault = errors.New("fault")

type death struct{}

func (f *faults) next() error {
	f.step++
	if f.step != f.at {
		return nil
	}
	if f.dies {
		panic(death{})
	}
	return errFault
}

// faultyStore may fail before a commit, or report a failure after it.
type faultyStore struct {
	store.Store
	faults *faults
}

func (s faultyStore) Commit(ctx context.Context, t store.Txn) (int64, error) {
	if err := s.faults.next(); err != nil {
		return 0, err
	}
	revision, err := s.Store.Commit(ctx, t)
	if err == nil {
		err = s.faults.next()
	}
	return revision, err
}

// reserve takes a prefix from the addresses that instances may have, while the gateway runs.
func (g *rig) reserve(t *testing.T, p netip.Prefix) {
	t.Helper()
	smaller, err := pool.New(g.opts.Network, g.opts.Pool, []netip.Prefix{p}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range g.table.instances {
		smaller.Claim(e.record.Addr)
	}
	g.table.pool = smaller
}

// scenarios are operations on a gateway where "one" and "two" are registered.
func scenarios() map[string]func(*testing.T, *rig) error {
	register := func(t *testing.T, g *rig, q Request) error {
		_, err := g.Register(t.Context(), q)
		return err
	}
	return map[string]func(*testing.T, *rig) error{
		"new": func(t *testing.T, g *rig) error { return register(t, g, request("app", "three")) },
		"new key": func(t *testing.T, g *rig) error {
			q := proven("app", "one", "one") // the evidence comes with the new key
			q.Key = key("another")
			return register(t, g, q)
		},
		"new policy": func(t *testing.T, g *rig) error {
			q := request("app", "one")
			p := restricted(t, 80)
			q.Policy = &p
			return register(t, g, q)
		},
		"new address": func(t *testing.T, g *rig) error {
			g.reserve(t, pfx("10.8.0.2/32"))
			q := proven("app", "one", "new")
			q.Compose = compose("another") // to be a change
			return register(t, g, q)
		},
		"new evidence": func(t *testing.T, g *rig) error { return register(t, g, proven("app", "one", "new")) },
		"refused": func(t *testing.T, g *rig) error {
			g.o.Appraise = (&court{verdicts: map[string]error{"one": errOutOfDate}}).appraise
			return g.reappraise(t.Context(), "one")
		},
		"refused and back": func(t *testing.T, g *rig) error {
			c := &court{verdicts: map[string]error{"one": errOutOfDate}}
			g.o.Appraise = c.appraise
			if err := g.reappraise(t.Context(), "one"); err != nil {
				return err
			}
			c.rules("one", nil)
			return g.reappraise(t.Context(), "one")
		},
		"override": func(t *testing.T, g *rig) error {
			p := restricted(t, 80)
			return g.SetOverride(t.Context(), "one", &p)
		},
		"recycle": func(t *testing.T, g *rig) error {
			wait(11 * time.Hour)
			g.table.instances["two"].seen = time.Now()
			return g.sweep(t.Context())
		},
	}
}

// Each operation breaks at each of its steps, by an error or with the process. Then and
// after a restart nothing has two holders, nothing is published that is not stored and in
// the tunnel, or that is stored as refused, each instance has its evidence and no other is left,
// what was acknowledged is there, and the operation can be done again.
func TestFaultAtEveryStep(t *testing.T) {
	for name, do := range scenarios() {
		for _, dies := range []bool{false, true} {
			for at := 1; ; at++ {
				steps := 0
				t.Run(fmt.Sprintf("%s/dies=%v/%d", name, dies, at), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) { steps = breakAt(t, do, &faults{at: at, dies: dies}) })
				})
				if at > steps {
					break
				}
			}
		}
	}
}

// breakAt returns the number of do's steps.
func breakAt(t *testing.T, do func(*testing.T, *rig) error, f *faults) int {
	g := newRig(t, nil)
	one := g.register(t, proven("app", "one", "one")).Spec
	two := g.register(t, proven("app", "two", "two")).Spec

	armed := *f
	hook := func(string) error { return f.next() }
	g.dev.before, g.dev.after = hook, hook
	g.board.before = func(string) {
		if f.dies { // publishing cannot fail
			_ = f.next()
		}
	}
	g.o.Store = faultyStore{g.store, f}
	died, err := attempt(func() error { return do(t, g) })
	steps := f.step
	f.at = 0
	g.o.Store = g.store

	if !died {
		if armed.at != 2 { // the answer of a commit is lost: what is stored shows at the next try
			g.consistent(t)
		}
		if err == nil && armed.at <= steps {
			t.Error("a step failed, but it is called done")
		}
		if err := do(t, g); err != nil {
			t.Errorf("again: %v", err)
		}
		g.consistent(t)
	}
	before := g.board.all()
	g.restart(t)
	g.consistent(t)
	if s, ok := g.board.get("two"); !ok || s != two {
		t.Errorf("a bystander became %+v", s)
	}
	switch after := g.board.all(); {
	case !died && fmt.Sprint(after) != fmt.Sprint(before):
		t.Errorf("before the restart %v, after it %v", before, after)
	case died:
		if s, ok := after["one"]; ok && s.App != one.App {
			t.Errorf("%+v became %+v", one, s)
		}
		if err := do(t, g); err != nil {
			t.Errorf("after the restart: %v", err)
		}
		g.consistent(t)
	}
	return steps
}

func attempt(do func() error) (died bool, err error) {
	defer func() {
		if r := recover(); r != nil {
			if _, ours := r.(death); !ours {
				panic(r)
			}
			died = true
		}
	}()
	return false, do()
}

// A commit whose answer is lost may be stored: neither it nor its neighbours may give
// anything twice.
func TestLostAnswerOfACommitGivesNothingTwice(t *testing.T) {
	g := newRig(t, nil)
	f := &faults{at: 2}
	g.o.Store = faultyStore{g.store, f}
	g.refuses(t, request("app", "one"), ErrStore)
	if len(g.board.all()) != 0 {
		t.Error("published without an answer")
	}
	neighbour := g.register(t, request("app", "two")).Spec // would get the same address
	again := g.register(t, request("app", "one")).Spec
	if neighbour.Addr == again.Addr {
		t.Errorf("both have %s", again.Addr)
	}
	thief := request("app", "three")
	thief.Key = key("one")
	g.refuses(t, thief, ErrKeyTaken)
	g.consistent(t)
	g.restart(t)
	g.consistent(t)
	if want := (map[vm.InstanceID]vm.Spec{"one": again, "two": neighbour}); fmt.Sprint(g.board.all()) != fmt.Sprint(want) {
		t.Errorf("after a restart %v, want %v", g.board.all(), want)
	}
}
