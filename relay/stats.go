package relay

import (
	"sync/atomic"
	"time"
)

// loopStats are a loop's counters. Only its thread adds to them; the collector
// reads them.
type loopStats struct {
	accepted     atomic.Uint64
	acceptErrors atomic.Uint64
	ended        [modes][reasons]atomic.Uint64
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
