package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"sallyport/registry/record"
	"sallyport/registry/store"
)

func TestRefusedInstanceIsDrainedAndComesBack(t *testing.T) {
	for name, back := range map[string]func(t *testing.T, g *rig, c *court){
		"by a later pass": func(_ *testing.T, g *rig, c *court) {
			c.rules("good", nil)
			g.Reattest("collateral changed")
		},
		"with new evidence": func(t *testing.T, g *rig, _ *court) { g.register(t, proven("app", "one", "new")) },
		"with the same evidence": func(t *testing.T, g *rig, c *court) {
			c.rules("good", nil)
			g.register(t, proven("app", "one", "good"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g, court := newCourtRig(t, nil)
				var log bytes.Buffer
				g.o.Log = slog.New(slog.NewTextHandler(&log, nil))
				defer g.run(t)()
				was := g.register(t, proven("app", "one", "good")).Spec
				g.register(t, proven("app", "two", "better"))
				court.rules("good", errOutOfDate)
				g.Reattest("policy changed")
				g.Reattest("policy changed") // the same verdict again
				pass(time.Second)
				if s, _ := g.board.get("one"); s.Refused != "attestation: TCB status OutOfDate" || !s.SameTunnel(was) {
					t.Errorf("published as %+v, was %+v", s, was)
				}
				if s, _ := g.board.get("two"); s.Refused != "" {
					t.Errorf("a bystander became %+v", s)
				}
				if s := g.Status()[0]; s.Served || s.Refused != "attestation: TCB status OutOfDate" || !s.Evidence || s.Appraised.IsZero() {
					t.Errorf("status %+v", s)
				}
				g.consistent(t) // its peer is gone
				thief := request("app", "three")
				thief.Key = was.Key
				g.refuses(t, thief, ErrKeyTaken)
				if s := g.register(t, request("app", "four")).Spec; s.Addr == was.Addr {
					t.Error("its address was given away")
				}
				g.refuses(t, proven("app", "one", "good"), ErrEvidence)
				g.refuses(t, request("app", "one"), ErrNoEvidence) // nor without any

				back(t, g, court)
				pass(time.Second)
				if s, _ := g.board.get("one"); s != was {
					t.Errorf("back as %+v, was %+v", s, was)
				}
				g.consistent(t)
				if n := strings.Count(log.String(), `msg="instance refused`); n != 1 {
					t.Errorf("%d lines of a refusal:\n%s", n, &log)
				}
			})
		})
	}
}

func TestRefusedInstanceStaysOutOverARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, court := newCourtRig(t, nil)
		was := g.register(t, proven("app", "one", "good")).Spec
		court.rules("good", errOutOfDate)
		g.Reattest("test")
		stop := g.run(t)
		pass(time.Second)
		stop()
		court.rules("good", fmt.Errorf("%w: no collateral yet", ErrUndecided))
		g.restart(t)
		stop = g.run(t)
		pass(time.Second)
		if s, _ := g.board.get("one"); s.Refused == "" || len(g.dev.all()) > 0 {
			t.Errorf("routable before it was appraised: %+v, %v", s, g.dev.all())
		}
		g.consistent(t)
		court.rules("good", nil)
		pass(2 * time.Minute)
		if s, _ := g.board.get("one"); s != was {
			t.Errorf("back as %+v, was %+v", s, was)
		}
		stop()
		g.restart(t)
		g.consistent(t)
		if s, _ := g.board.get("one"); s != was {
			t.Errorf("it was accepted, but after a restart it is %+v", s)
		}
	})
}

// A peer of an earlier process that is refused now must not be taken over.
func TestPeerOfARefusedInstanceIsNotKeptOverARestart(t *testing.T) {
	g, _ := newCourtRig(t, nil)
	g.register(t, request("app", "one"))
	r, err := Open(t.Context(), g.opts)
	if err != nil || len(g.dev.all()) != 1 {
		t.Fatalf("%v, %v", g.dev.all(), err)
	}
	g.opts.RequireEvidence = true
	if g.Registry, err = Open(t.Context(), g.opts); err != nil || len(g.dev.all()) != 0 {
		t.Fatalf("%v, %v", g.dev.all(), err)
	}
	if s := r.Status()[0]; !s.Served {
		t.Errorf("before that it was %+v", s)
	}
	g.consistent(t)
}

// A refused guest has no tunnel through which it could be asked for its port policy; when
// it is let in again it is asked.
func TestPolicyOfARefusedInstanceIsNotFetched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var dials atomic.Int32
		g, court := newCourtRig(t, func(o *Options) {
			o.Tunnel = &device{dial: func(context.Context, netip.AddrPort) (net.Conn, error) {
				dials.Add(1)
				return nil, errors.New("unreachable")
			}}
		})
		q := proven("app", "one", "good")
		q.Policy = nil
		g.register(t, q)
		court.rules("good", errOutOfDate)
		g.Reattest("test")
		stop := g.run(t)
		pass(time.Hour)
		stop()
		g.restart(t)
		dials.Store(0)
		defer g.run(t)()
		pass(time.Hour)
		if n := dials.Load(); n > 0 {
			t.Errorf("dialled %d times", n)
		}
		court.rules("good", nil)
		g.Reattest("test")
		pass(time.Hour)
		if dials.Load() == 0 {
			t.Error("never dialled")
		}
	})
}

// What one gateway has refused, another that has not heard of it yet must not let in with
// the verdict of before.
func TestRefusalOfAnotherGatewayIsHeededAtARegistration(t *testing.T) {
	a, court := newCourtRig(t, nil)
	q := proven("app", "one", "good")
	a.register(t, q)
	b := second(t, a, "10.8.64.0/18")
	b.register(t, q) // it fails over
	court.rules("good", errOutOfDate)
	if err := b.reappraise(t.Context(), "one"); err != nil {
		t.Fatal(err)
	}
	q.Key = key("another")
	a.refuses(t, q, ErrEvidence)
	if s, _ := a.board.get("one"); s.Refused == "" {
		t.Errorf("let in as %+v", s)
	}
	a.consistent(t)
}

func TestRefusalIsInForceThoughItCannotBeStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, court := newCourtRig(t, nil)
		g.register(t, proven("app", "one", "good"))
		court.rules("good", errOutOfDate)
		f := &faults{at: 1}
		g.o.Store = faultyStore{g.store, f}
		g.Reattest("test")
		defer g.run(t)()
		pass(time.Second)
		if s, _ := g.board.get("one"); s.Refused == "" || len(g.dev.all()) > 0 {
			t.Errorf("still served: %+v, %v", s, g.dev.all())
		}
		pass(time.Minute) // then it is tried again
		if rec, _ := g.table.stored("one"); rec.Refused != errOutOfDate.Error() {
			t.Errorf("stored %+v", rec)
		}
		g.consistent(t)
	})
}

func TestPeerThatCannotBeRemovedIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, court := newCourtRig(t, nil)
		g.register(t, proven("app", "one", "good"))
		court.rules("good", errOutOfDate)
		var gone atomic.Bool
		gone.Store(true)
		g.dev.before = func(string) error {
			if gone.Load() {
				return errors.New("no device")
			}
			return nil
		}
		g.Reattest("test")
		defer g.run(t)()
		pass(time.Second)
		if s, _ := g.board.get("one"); s.Refused == "" {
			t.Error("still published")
		}
		gone.Store(false)
		pass(time.Minute)
		g.consistent(t)
	})
}

func TestInstanceWhoseEvidenceIsLostIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, _ := newCourtRig(t, nil)
		g.register(t, proven("app", "one", "good"))
		g.commit(t, store.Change{Key: record.EvidenceKey("one")})
		g.o.Store = faultyStore{g.store, &faults{at: 1}} // nor can the refusal be stored
		g.Reattest("test")
		defer g.run(t)()
		pass(time.Second)
		if s, _ := g.board.get("one"); s.Refused == "" {
			t.Errorf("%+v", s)
		}
		if got := g.register(t, proven("app", "one", "good")); got.Spec.Refused != "" || g.stored(t, "one") != "good" {
			t.Errorf("with its evidence it is %+v", got.Spec)
		}
		g.consistent(t)
	})
}

// Each gateway judges those that registered with it last; all heed the verdict.
func TestGatewaysHeedEachOthersVerdicts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, court := newCourtRig(t, nil)
		b := second(t, a, "10.8.64.0/18")
		defer a.run(t)()
		defer b.run(t)()
		a.register(t, proven("app", "one", "good"))
		synctest.Wait()
		court.heard()
		court.rules("good", errOutOfDate)
		b.Reattest("test")
		pass(time.Second)
		if got := court.heard(); len(got) > 0 {
			t.Errorf("the other gateway appraised %q", got)
		}
		a.Reattest("test")
		pass(time.Second)
		if s, _ := b.board.get("one"); s.Refused == "" || len(b.dev.all()) > 0 {
			t.Errorf("the other gateway serves %+v", s)
		}
		b.register(t, proven("app", "one", "new")) // the guest fails over
		pass(time.Second)
		for _, g := range []*rig{a, b} {
			if s, _ := g.board.get("one"); s.Refused != "" {
				t.Errorf("still refused: %+v", s)
			}
			g.consistent(t)
		}
	})
}
