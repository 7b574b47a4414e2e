package relay

import (
	"fmt"
	"sync/atomic"
	"time"

	"sallyport/internal/oneline"
	"sallyport/relay/thread"
)

// A loop serves many connections, so one round that lasts stops them all. Rounds are
// bounded in work; this is for the bug that breaks the bound, and for a system call
// that waits against all promises. A goroutine looks at each loop's pulse: a round of
// over lateRound makes the engine not ready, and its stack goes to the log; one of
// over stuckRound makes Run give up.
//
// The measure is not the clock but how often the watchdog itself ran meanwhile:
// while the process is stopped, its machine is suspended, or its share of the CPU is
// used up, the watchdog stands still as well.

const (
	watchEvery = 250 * time.Millisecond
	lateRound  = 2 * time.Second
	stuckRound = 30 * time.Second
)

// pulse carries the state of a loop to the watchdog, and from there to others.
type pulse struct {
	round  atomic.Int64 // the loop's clock when the round began; 0: it waits for events
	late   atomic.Int64 // ns that the round has lasted, if that is too long; else 0
	stalls atomic.Uint64

	where thread.Thread // set before the first round
}

// begin and rest enclose a round.
func (p *pulse) begin(now int64) { p.round.Store(max(now, 1)) }
func (p *pulse) rest()           { p.round.Store(0) }

// stall is the watchdog's record of a loop's round.
type stall struct {
	round int64
	lasts time.Duration
}

// seen takes what the loop's pulse says now, passed after the last time.
func (s *stall) seen(round int64, passed time.Duration) {
	if round == 0 || round != s.round {
		*s = stall{round: round}
		return
	}
	s.lasts += min(passed, watchEvery) // more has passed only if the watchdog was late itself
}

// watch looks at the loops until ended is closed. An error says that one of them is
// stuck: the caller of Abort waits for none that is late.
func (e *Engine) watch(ended <-chan struct{}) error {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	stalls := make([]stall, len(e.loops))
	for last := time.Now(); ; {
		select {
		case <-tick.C:
		case <-ended:
			return nil
		}
		now := time.Now()
		for i, l := range e.loops {
			stalls[i].seen(l.pulse.round.Load(), now.Sub(last))
			e.noteRound(i, stalls[i].lasts)
			if lasts := stalls[i].lasts; lasts > stuckRound || lasts > lateRound && e.aborted.Err() != nil {
				return fmt.Errorf("relay: loop %d is stuck: a round has lasted for %v", i, lasts)
			}
		}
		last = now
	}
}

// noteRound notes how long the present round of loop i has lasted, and logs what changes.
func (e *Engine) noteRound(i int, lasts time.Duration) {
	p := &e.loops[i].pulse
	if lasts <= lateRound {
		if before := p.late.Swap(0); before != 0 {
			e.opts.Log.Warn("a stuck loop continues", "loop", i, "after", time.Duration(before).String())
		}
		return
	}
	if p.late.Swap(int64(lasts)) != 0 {
		return
	}
	p.stalls.Add(1)
	e.opts.Log.Error("an event loop is stuck: its connections stand still; please report it",
		"loop", i, "lasts", lasts.String(), "ends_process_after", stuckRound.String())
	if e.due(&e.warned.stack) { // it stops the other loops for a moment
		doing, stack := p.where.Doing()
		e.opts.Log.Error("stack of the stuck loop", "loop", i, "thread", doing, "stack", stack)
	}
}

// Ready is nil while every loop serves its connections.
func (e *Engine) Ready() error {
	var stuck []error
	for i, l := range e.loops {
		if lasts := l.pulse.late.Load(); lasts != 0 {
			stuck = append(stuck, fmt.Errorf("loop %d is stuck: a round has lasted for %v; the log has its stack", i, time.Duration(lasts)))
		}
	}
	return oneline.Join(stuck...)
}
