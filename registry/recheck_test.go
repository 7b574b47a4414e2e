package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"sallyport/internal/vm"
)

var errNoCollateral = fmt.Errorf("%w: no collateral", ErrUndecided)

// checking is a rig whose policy without collateral is a list of evidence that it refuses; there is
// no verdict on other evidence.
func checking(t *testing.T) (g *rig, c *court, list func(evidence ...string)) {
	t.Helper()
	var refused atomic.Pointer[map[string]bool]
	list = func(evidence ...string) {
		m := make(map[string]bool)
		for _, e := range evidence {
			m[e] = true
		}
		refused.Store(&m)
	}
	list()
	g, c = newCourtRig(t, func(o *Options) {
		o.Recheck = func(_ vm.InstanceID, _ vm.AppID, evidence []byte) error {
			if (*refused.Load())[string(evidence)] {
				return errors.New("compose hash is not on the list")
			}
			return nil
		}
		appraise := o.Appraise
		o.Appraise = func(ctx context.Context, id vm.InstanceID, app vm.AppID, evidence []byte) error {
			if err := appraise(ctx, id, app, evidence); !errors.Is(err, ErrUndecided) {
				return err
			}
			if err := o.Recheck(id, app, evidence); err != nil {
				return err
			}
			return errNoCollateral
		}
	})
	return g, c, list
}

// A policy that became stricter while the gateway was down holds before any instance is served,
// also while collateral is not available.
func TestStartServesNoInstanceThatThePolicyRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, court, list := checking(t)
		g.register(t, proven("app", "one", "old"))
		two := g.register(t, proven("app", "two", "good")).Spec
		g.register(t, request("app", "three")) // has shown none
		court.rules("old", errNoCollateral)
		court.rules("good", errNoCollateral)
		list("old")
		g.restart(t)
		if s, _ := g.board.get("one"); s.Refused != "attestation: compose hash is not on the list" {
			t.Errorf("served from the start: %+v", s)
		}
		if s, _ := g.board.get("two"); s != two {
			t.Errorf("a bystander became %+v", s)
		}
		if n := len(g.dev.all()); n != 2 {
			t.Errorf("%d peers", n)
		}
		defer g.run(t)()
		pass(time.Second)
		if rec, _ := g.table.stored("one"); rec.Refused == "" {
			t.Error("the refusal is not stored")
		}
		g.consistent(t)
		list()
		court.rules("old", nil)
		g.Reattest("policy changed")
		pass(time.Second)
		if s, _ := g.board.get("one"); s.Refused != "" {
			t.Errorf("not back: %+v", s)
		}
	})
}

// While the gateway runs a new policy is applied to all at once, not at the pace of
// appraisals, and without collateral.
func TestNewPolicyIsAppliedAtOnceWithoutCollateral(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, court, list := checking(t)
		const n = 300
		for i := range n {
			g.register(t, proven("app", fmt.Sprintf("i%d", i), fmt.Sprintf("e%d", i)))
			court.rules(fmt.Sprintf("e%d", i), errNoCollateral)
		}
		court.before = func() { <-time.After(100 * time.Millisecond) } // 300 take five minutes
		defer g.run(t)()
		pass(time.Second)
		list(fmt.Sprintf("e%d", n-1))
		g.Reattest("allow file changed")
		pass(3 * time.Second)
		last := vm.InstanceID(fmt.Sprintf("i%d", n-1))
		if s, _ := g.board.get(last); s.Refused == "" {
			t.Error("it is served three seconds later")
		}
		pass(10 * time.Minute)
	})
}

// An instance that was not checked in the time of a start is held, and served after its check.
func TestStartHoldsInstancesThatItCannotCheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, court, _ := checking(t)
		g.register(t, proven("app", "one", "good"))
		court.rules("good", errNoCollateral)
		quick := g.opts.Recheck
		g.opts.Recheck = func(id vm.InstanceID, app vm.AppID, evidence []byte) error {
			if string(evidence) == "slow" {
				<-time.After(2 * recheckTime)
			}
			return quick(id, app, evidence)
		}
		for i := range 16 {
			g.register(t, proven("app", fmt.Sprintf("a%d", i), "slow"))
		}
		court.rules("slow", errNoCollateral)
		began := time.Now()
		g.restart(t)
		if took := time.Since(began); took > 3*recheckTime {
			t.Errorf("the start took %v", took)
		}
		if s, _ := g.board.get("one"); s.Refused != "attestation: "+heldText {
			t.Errorf("served unseen: %+v", s)
		}
		defer g.run(t)()
		pass(40 * recheckTime)
		if s, _ := g.board.get("one"); s.Refused != "" {
			t.Errorf("still held: %+v", s)
		}
		g.consistent(t)
	})
}

func TestUndecidedInstanceIsServedForALimitedTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, court, _ := checking(t)
		g.opts.UndecidedFor = 3 * time.Hour
		g.restart(t)
		var log bytes.Buffer
		g.o.Log = slog.New(slog.NewTextHandler(&log, nil))
		was := g.register(t, proven("app", "one", "good")).Spec
		court.rules("good", errNoCollateral)
		stop := g.run(t)
		began := time.Now()
		g.Reattest("test")
		pass(2 * time.Hour)
		if s := g.Status()[0]; s.Refused != "" || s.Undecided.Sub(began).Round(time.Second) != 3*time.Hour {
			t.Errorf("status %+v", s)
		}
		stop()
		g.restart(t) // does not begin it again
		stop = g.run(t)
		pass(59 * time.Minute)
		if s, _ := g.board.get("one"); s != was {
			t.Errorf("before its time is over: %+v", s)
		}
		pass(2 * time.Minute)
		if s, _ := g.board.get("one"); !strings.HasPrefix(s.Refused, "attestation: no verdict since ") {
			t.Errorf("after its time: %+v", s)
		}
		g.consistent(t)
		stop()
		g.restart(t)
		if s, _ := g.board.get("one"); s.Refused == "" {
			t.Error("a restart lets it in")
		}
		stop = g.run(t)
		court.rules("good", nil)
		g.Reattest("collateral is back")
		pass(time.Minute)
		if s, _ := g.board.get("one"); s != was {
			t.Errorf("back as %+v, was %+v", s, was)
		}
		if s := g.Status()[0]; !s.Undecided.IsZero() {
			t.Errorf("still %+v", s)
		}
		stop()
	})
}

// A gateway that was down when the time ended refuses from its start on.
func TestUndecidedTimeEndsWhileTheGatewayIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, court, _ := checking(t)
		g.register(t, proven("app", "one", "good"))
		court.rules("good", errNoCollateral)
		if err := g.reappraise(t.Context(), "one"); !errors.Is(err, ErrUndecided) {
			t.Fatal(err)
		}
		pass(defaultUndecidedFor)
		g.restart(t)
		if s, _ := g.board.get("one"); !strings.Contains(s.Refused, "undecided_for (24h0m0s)") {
			t.Errorf("%+v", s)
		}
	})
}
