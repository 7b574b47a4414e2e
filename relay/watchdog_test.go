package relay

import (
	"context"
	"log/slog"
	"net/netip"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"sallyport/internal/hello"
	"sallyport/relay/thread"
)

// While the watchdog itself stands still, a loop may well stand still too.
func TestLateWatchdogCountsNoMoreThanItsPeriod(t *testing.T) {
	var s stall
	for i, step := range []struct {
		round  int64
		passed time.Duration
		lasts  time.Duration
	}{
		{round: 7, passed: watchEvery, lasts: 0}, // when it began is not known
		{round: 7, passed: watchEvery, lasts: watchEvery},
		{round: 7, passed: time.Hour, lasts: 2 * watchEvery}, // stopped, suspended, starved
		{round: 7, passed: watchEvery / 2, lasts: 5 * watchEvery / 2},
		{round: 8, passed: watchEvery, lasts: 0},
		{round: 8, passed: watchEvery, lasts: watchEvery},
		{round: 0, passed: watchEvery, lasts: 0}, // it waits for events
		{round: 0, passed: time.Hour, lasts: 0},
	} {
		if s.seen(step.round, step.passed); s.lasts != step.lasts {
			t.Errorf("step %d: a round has lasted %v, want %v", i, s.lasts, step.lasts)
		}
	}
}

// watching is an engine whose loops do nothing but say that they do, in a bubble.
func watching(t *testing.T, log *logBuffer) (e *Engine, result chan error) {
	e = &Engine{opts: Options{Log: slog.New(slog.NewTextHandler(log, nil))}, began: time.Now(), loops: []*loop{{}, {}}}
	e.aborted, e.abort = context.WithCancel(t.Context())
	ended, result := make(chan struct{}), make(chan error, 1)
	go func() { result <- e.watch(ended) }()
	t.Cleanup(func() { close(ended) })
	return e, result
}

func TestWatchdogTellsOfALateRoundAndOfItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logBuffer
		e, _ := watching(t, &log)
		late := &e.loops[1].pulse
		late.where = thread.Self()
		late.begin(int64(time.Hour))
		pass := func(d time.Duration) {
			for range d / watchEvery {
				e.loops[0].pulse.begin(int64(time.Since(e.began))) // rounds that end
				<-time.After(watchEvery)
			}
			synctest.Wait()
		}
		pass(lateRound)
		if err := e.Ready(); err != nil || log.all() != "" {
			t.Errorf("after %v: %v, %s", lateRound, err, log.all())
		}
		pass(lateRound)
		if err := e.Ready(); err == nil || !strings.Contains(err.Error(), "loop 1 is stuck") {
			t.Errorf("after %v: Ready is %v", 2*lateRound, err)
		}
		if text := log.all(); strings.Count(text, "\n") != 2 || !strings.Contains(text, "stack of the stuck loop\" loop=1") {
			t.Errorf("the log has\n%s", text)
		}
		late.rest()
		pass(lateRound)
		if err := e.Ready(); err != nil || !strings.Contains(log.all(), `msg="a stuck loop continues" loop=1`) {
			t.Errorf("after the round: %v, %s", err, log.all())
		}
		if n := late.stalls.Load(); n != 1 {
			t.Errorf("%d stalls are counted, want 1", n)
		}
	})
}

func TestWatchdogGivesUpOnAStuckLoop(t *testing.T) {
	for name, test := range map[string]struct {
		abort bool
		after time.Duration
	}{"serving": {false, stuckRound}, "aborted": {true, lateRound}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log logBuffer
				e, result := watching(t, &log)
				if test.abort {
					e.abort()
				}
				e.loops[0].pulse.where = thread.Self()
				e.loops[0].pulse.begin(1)
				began := time.Now()
				err := <-result
				if took := time.Since(began); took < test.after || took > test.after+4*watchEvery {
					t.Errorf("given up after %v, want %v", took, test.after)
				}
				if err == nil || !strings.Contains(err.Error(), "loop 0 is stuck") {
					t.Errorf("error %v", err)
				}
			})
		})
	}
}

// holdLoop stops a loop until the returned function is called, as a bug would.
func (e *Engine) holdLoop(i int) (letGo func()) {
	held := make(chan struct{})
	e.loops[i].inbox.Post(func() { theBug(held) })
	return func() { close(held) }
}

func theBug(held chan struct{}) { <-held }

// The watchdog sees a loop that is stuck in a message, and one that is stuck in the
// coroutine of a setup, and its stack says where.
func TestStuckLoopIsSeenAndItsStackTold(t *testing.T) {
	t.Run("in the loop", func(t *testing.T) {
		g := start(t, nil)
		letGo := g.holdLoop(0)
		g.mustBeStuck(t, "relay.theBug", letGo)
	})
	t.Run("in a setup", func(t *testing.T) {
		held := make(chan struct{})
		g := start(t, func(_ *gateway, o *Options) {
			o.Route = func(*hello.Hello, netip.AddrPort, *Decision) { theBug(held) }
		})
		g.pass()
		g.mustBeStuck(t, "relay.theBug", func() { close(held) })
	})
	t.Run("in endless work", func(t *testing.T) {
		var over atomic.Bool
		g := start(t, func(_ *gateway, o *Options) {
			o.Route = func(*hello.Hello, netip.AddrPort, *Decision) { theEndlessWork(&over) }
		})
		g.pass()
		g.mustBeStuck(t, "relay.theEndlessWork", func() { over.Store(true) })
	})
}

func theEndlessWork(over *atomic.Bool) {
	for !over.Load() {
	}
}

func (g *gateway) mustBeStuck(t *testing.T, where string, letGo func()) {
	t.Helper()
	eventually(t, "the engine is not ready", func() bool { return g.Ready() != nil })
	line := g.log.wait(t, "stack of the stuck loop")
	if !strings.Contains(line, where) || !strings.Contains(line, "relay.(*loop).run") {
		t.Errorf("the stack does not say where the loop is: %s", line)
	}
	letGo()
	eventually(t, "the engine is ready again", func() bool { return g.Ready() == nil })
}

func TestAbortWaitsForNoStuckLoop(t *testing.T) {
	e, err := New(Options{
		Listen:   []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:0")},
		Loops:    2,
		Timeouts: Timeouts{Hello: time.Minute, Handshake: time.Minute, Connect: time.Minute, Hedge: time.Minute, Drain: time.Hour},
		Route:    func(*hello.Hello, netip.AddrPort, *Decision) {},
		Log:      slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	result := make(chan error, 1)
	go func() { result <- e.Run(ctx) }()
	letGo := e.holdLoop(1)
	stop()
	e.Abort()
	select {
	case err := <-result:
		if err == nil || !strings.Contains(err.Error(), "loop 1 is stuck") {
			t.Errorf("Run: %v", err)
		}
	case <-time.After(20 * time.Second):
		t.Error("Run waits for the stuck loop")
	}
	letGo()
	eventually(t, "the loop ends after all", func() bool { return !e.loops[1].inbox.Post(func() {}) })
}

// A thread in one of the raw system calls cannot be stopped: no stack is taken.
func TestThreadInARawCallIsNotAskedForItsStack(t *testing.T) {
	l := testLoop(t)
	waits := make(chan thread.Thread)
	var over atomic.Bool
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		waits <- thread.Self()
		events := make([]unix.EpollEvent, 1)
		for !over.Load() {
			l.poller.Look(events, 1000)
		}
	}()
	th := <-waits
	eventually(t, "the thread is seen to wait in the raw call, and no stack taken", func() bool {
		state, stack := th.Doing()
		return stack == "" && state == "waits in the kernel, in system call "+strconv.Itoa(unix.SYS_EPOLL_PWAIT)
	})
	over.Store(true)
	l.inbox.Post(func() {}) // ends the wait
	<-done
}
