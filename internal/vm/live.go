package vm

import (
	"sync/atomic"
	"time"
)

// Gauge counts what is open now, against an optional limit. All methods may be
// called concurrently.
type Gauge struct{ n atomic.Int64 }

// Acquire adds one unless limit (> 0) would be passed. Check and count are one
// atomic step, so that a burst cannot slip past the limit together.
func (g *Gauge) Acquire(limit int64) bool {
	if n := g.n.Add(1); limit > 0 && n > limit {
		g.n.Add(-1)
		return false
	}
	return true
}

// Release takes back one Acquire that returned true.
func (g *Gauge) Release() { g.n.Add(-1) }

// Load tells the number that is open.
func (g *Gauge) Load() int64 { return g.n.Load() }

// Live is the mutable side of one instance: what the data plane learns while it
// works. It outlives the snapshots that point to it, so that a count survives
// their exchange.
type Live struct {
	// Open is the number of connections dialled to the instance and not yet ended.
	Open Gauge

	// Failures counts dials in a row that failed, or that another candidate
	// overtook; a dial that connects sets it to 0.
	Failures atomic.Int32

	// OnFailures, if not nil, is called by the data plane's thread after each failed
	// dial, with the new value of Failures. It must not block.
	OnFailures func(n int32)
}

// Dialled records how a dial to the instance ended. It is called on the data plane's thread.
func (l *Live) Dialled(_ time.Duration, ok bool) {
	if ok {
		if l.Failures.Load() != 0 {
			l.Failures.Store(0)
		}
		return
	}
	n := l.Failures.Add(1)
	if l.OnFailures != nil {
		l.OnFailures(n)
	}
}
