package vm

import (
	"sync/atomic"
)

// Gauge counts what is open now, against a limit set when it is made. The zero
// Gauge has no limit. All methods may be called concurrently.
type Gauge struct {
	n   atomic.Int64
	max int64
}

// NewGauge makes a gauge that counts up to limit; 0 is no limit.
func NewGauge(limit int64) *Gauge { return &Gauge{max: max(limit, 0)} }

// Acquire adds one unless the limit would be passed. Check and count are one
// atomic step, so that a burst cannot slip past the limit together.
func (g *Gauge) Acquire() bool {
	if n := g.n.Add(1); g.max > 0 && n > g.max {
		g.n.Add(-1)
		return false
	}
	return true
}

// Release takes back one Acquire that returned true.
func (g *Gauge) Release() { g.n.Add(-1) }

// Load returns the number that is open.
func (g *Gauge) Load() int64 { return g.n.Load() }

// Live is the mutable side of one instance: what the data plane learns while it
// works. It outlives the snapshots that point to it, so that a count survives
// their exchange. All methods may be called concurrently.
//
// It is 16 bytes on purpose: a choice reads two of them at random, and those of
// 100,000 instances fit a cache at this size. That some loops' writes meet in one
// cache line costs less, since a busy instance is shared by all loops anyway.
type Live struct {
	open atomic.Int32

	// OnDial, if not nil, is called with the outcome of each dial to a port of the instance. It runs
	// on the data plane's threads, by several at once: it must not block. It is set
	// before the Live is published.
	OnDial func(port uint16, ok bool)
}

// Opened counts a connection to the instance.
func (l *Live) Opened() { l.open.Add(1) }

// Closed takes back one Opened.
func (l *Live) Closed() { l.open.Add(-1) }

// Open is the number of connections to the instance.
func (l *Live) Open() int32 { return l.open.Load() }

// Dialled reports how a dial to a port of the instance ended. Only evidence against the
// instance is a failure: silence, or a refused port while another candidate took the same
// connection.
func (l *Live) Dialled(port uint16, ok bool) {
	if l.OnDial != nil {
		l.OnDial(port, ok)
	}
}
