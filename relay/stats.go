package relay

import (
	"sync/atomic"
	"time"

	"sallyport/internal/hello"
)

// loopStats are a loop's counters. Only its thread adds to them; the collector
// reads them.
type loopStats struct {
	open         atomic.Int64 // connections of the loop
	accepted     atomic.Uint64
	acceptErrors atomic.Uint64
	reset        atomic.Uint64 // refused clients that could not linger
	unhedged     atomic.Uint64 // hedges that found no place
	ended        [hello.Modes][reasons]atomic.Uint64
	bytes        [2][relayModes]atomic.Uint64 // up, down
	pipes        atomic.Int64                 // open
	pipesRefused atomic.Uint64
	busy         atomic.Int64 // ns in rounds, waiting not counted
	longest      atomic.Int64 // ns of the longest round since the last reading
}

// round counts one round of the loop: how long it took is how long an event that
// came in at its beginning may have waited.
func (s *loopStats) round(began, ended int64) {
	took := ended - began
	s.busy.Add(took)
	if took > s.longest.Load() {
		s.longest.Store(took)
	}
}

// lag is the longest round since the last call.
func (s *loopStats) lag() time.Duration { return time.Duration(s.longest.Swap(0)) }

// LoopStatus is the state of a loop, for operators.
type LoopStatus struct {
	Connections int
	Pipes       int           // open, for splicing
	Busy        time.Duration // worked since it began
}

// Loops returns the state of every loop.
func (e *Engine) Loops() []LoopStatus {
	list := make([]LoopStatus, 0, len(e.loops))
	for _, l := range e.loops {
		s := &l.stats
		list = append(list, LoopStatus{Connections: int(s.open.Load()), Pipes: int(s.pipes.Load()), Busy: time.Duration(s.busy.Load())})
	}
	return list
}
