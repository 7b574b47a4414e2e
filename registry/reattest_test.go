package registry

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// pass waits, and then until all goroutines wait.
func pass(d time.Duration) {
	wait(d)
	synctest.Wait()
}

func TestEvidenceIsAppraisedAfterEachIntervalAndStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, court := newCourtRig(t, func(o *Options) { o.ReattestInterval = 24 * time.Hour })
		stop := g.run(t)
		g.register(t, proven("app", "one", "1"))
		g.register(t, request("app", "bare"))
		court.heard() // at the registration
		pass(12 * time.Hour)
		g.register(t, proven("app", "two", "2"))
		court.heard()
		pass(12*time.Hour - time.Second)
		if got := court.heard(); len(got) > 0 {
			t.Errorf("appraised early: %q", got)
		}
		for _, want := range []string{"app one 1", "app two 2", "app one 1"} {
			pass(2 * time.Second)
			if got := court.heard(); !slices.Equal(got, []string{want}) {
				t.Errorf("appraised %q, want %s", got, want)
			}
			pass(12*time.Hour - 2*time.Second)
		}
		stop()
		court.heard()
		g.restart(t)
		stop = g.run(t)
		pass(time.Second)
		if got := court.heard(); len(got) != 2 {
			t.Errorf("after a start %q", got)
		}
		stop()
	})
}

func TestReattestAppraisesAllOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, court := newCourtRig(t, nil)
		defer g.run(t)()
		for i := range 10 {
			g.register(t, proven("app", fmt.Sprintf("i%d", i), "good"))
		}
		court.heard()
		pass(500 * time.Hour)
		if got := court.heard(); len(got) > 0 {
			t.Errorf("without an interval, and without being asked to: %q", got)
		}
		g.Reattest("collateral changed")
		pass(time.Minute)
		if got := court.heard(); len(got) != 10 {
			t.Errorf("appraised %q", got)
		}
	})
}

// 1.5 ms each must be a tenth of a core, one after the other.
func TestReattestationIsPaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, court := newCourtRig(t, nil)
		for i := range 100 {
			g.register(t, proven("app", fmt.Sprintf("i%d", i), "good"))
		}
		court.heard()
		running := 0
		court.before = func() {
			if running++; running > 1 {
				t.Error("two at a time")
			}
			wait(1500 * time.Microsecond)
			running--
		}
		g.Reattest("test")
		defer g.run(t)()
		pass(750*time.Millisecond + time.Microsecond)
		if got := len(court.heard()); got != 50 {
			t.Errorf("%d appraised in 0.75 s, want 50", got)
		}
		pass(750 * time.Millisecond)
		if got := len(court.heard()); got != 50 {
			t.Errorf("%d more appraised in 0.75 s, want 50", got)
		}
	})
}

func TestUndecidedEvidenceKeepsItsInstance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, court := newCourtRig(t, func(o *Options) { o.ReattestInterval = 24 * time.Hour })
		var log bytes.Buffer
		g.o.Log = slog.New(slog.NewTextHandler(&log, nil))
		for i := range 3 {
			g.register(t, proven("app", fmt.Sprintf("i%d", i), "good"))
		}
		before := g.board.all()
		court.rules("good", context.DeadlineExceeded)
		court.heard()
		g.Reattest("test")
		defer g.run(t)()
		pass(10*time.Minute + time.Second) // at 0, 1, 3, 7 minutes
		if n := len(court.heard()); n != 3*4 {
			t.Errorf("tried %d times", n)
		}
		pass(9 * time.Hour)
		if n := len(court.heard()); n < 3*9 || n > 3*13 { // each hour in the end
			t.Errorf("tried %d times in 9 hours", n)
		}
		if fmt.Sprint(g.board.all()) != fmt.Sprint(before) {
			t.Errorf("%v became %v", before, g.board.all())
		}
		if n := strings.Count(log.String(), `msg="cannot appraise evidence`); n != 1 {
			t.Errorf("logged %d times:\n%s", n, &log)
		}
		court.rules("good", nil)
		g.Reattest("collateral is back")
		pass(time.Second)
		court.heard()
		if n := strings.Count(log.String(), `can be appraised again"`); n != 1 {
			t.Errorf("logged %d times:\n%s", n, &log)
		}
		pass(time.Hour)
		if n := len(court.heard()); n > 0 {
			t.Errorf("tried again %d times", n)
		}
	})
}

// Slow appraisals without a verdict must not delay the others.
func TestUndecidedComeLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, court := newCourtRig(t, nil)
		for _, id := range []string{"a", "b", "c"} {
			g.register(t, proven("app", id, id))
			pass(time.Second)
		}
		g.table.postpone("a", g.table.demand(), time.Now())
		g.Reattest("test")
		court.heard()
		defer g.run(t)()
		pass(time.Second)
		if got := court.heard(); !slices.Equal(got, []string{"app b b", "app c c", "app a a"}) {
			t.Errorf("appraised %q", got)
		}
	})
}

func TestVerdictOfBeforeADemandDoesNotCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, court := newCourtRig(t, nil)
		defer g.run(t)()
		court.before = func() {
			court.before = nil
			g.Reattest("policy changed") // while a guest registers
		}
		g.register(t, proven("app", "one", "good"))
		pass(time.Second)
		court.before = func() {
			court.before = nil
			g.Reattest("policy changed") // and while its evidence is appraised again
		}
		if got := court.heard(); len(got) != 2 {
			t.Errorf("appraised %q", got)
		}
		g.Reattest("policy changed")
		pass(time.Second)
		if got := court.heard(); len(got) != 2 {
			t.Errorf("appraised %q", got)
		}
	})
}
