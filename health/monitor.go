package health

import (
	"cmp"
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"sallyport/internal/vm"
)

// Options configure a Monitor. Only Log is required.
type Options struct {
	// MaxAge is how old the last handshake of an instance may be for it to receive
	// new connections; 0 is 5 minutes.
	MaxAge time.Duration

	// Interval is how often handshakes are asked for; 0 is 5 seconds. While an
	// instance that registered lately waits for its first one it is 1 second.
	Interval time.Duration

	// MaxPerApp is the limit of each app's gauge of connections; 0 is none.
	MaxPerApp int64

	// Handshakes returns the time of the last handshake of each key, zero if there was
	// none. The times carry a monotonic reading. One goroutine calls it, with 10 seconds,
	// and does not change the map. If it is nil, no handshakes are watched and every
	// instance is healthy.
	Handshakes func(ctx context.Context) (map[vm.WGKey]time.Time, error)

	// OnGone, if not nil, is called for each instance that was removed or is refused,
	// after the snapshot without it is published: its connections have lost their end.
	// It runs in the call of Upsert or Remove.
	OnGone func(inst *vm.Instance, why Gone)

	Log *slog.Logger
}

// Gone is the reason why an instance's connections have lost their end.
type Gone uint8

// The reasons.
const (
	Removed Gone = iota // the control plane removed it
	Rekeyed             // it came back with another key, address or app
	Refused             // it is registered, but the control plane allows it no traffic
	gones
)

func (g Gone) String() string { return [gones]string{"removed", "rekeyed", "refused"}[g] }

const (
	defaultMaxAge   = 5 * time.Minute
	defaultInterval = 5 * time.Second
)

// Monitor owns the instances' states. All methods may be called concurrently,
// Run once.
type Monitor struct {
	o        Options
	began    time.Time // zero of the dials' clock
	snapshot atomic.Pointer[vm.Snapshot]

	dialled chan *entry   // whose dials changed something
	lost    atomic.Bool   // dialled was full
	rearm   chan struct{} // there may be something to do
	hurry   chan struct{} // a new instance waits for its first handshake

	// mu guards what follows. It is never held over I/O, nor over a caller's func.
	mu       sync.Mutex
	entries  map[vm.InstanceID]*entry
	builder  *vm.Builder
	due      deadlines
	counts   [vm.HealthStates]int
	settled  bool      // the first set has been judged; later instances are new
	newcomer time.Time // when the last one came
}

// entry is an instance and all that the Monitor knows about it.
type entry struct {
	facts
	spec    vm.Spec
	live    *vm.Live
	dials   dials
	first   bool         // of the first set: it needs no slow start
	verdict verdict      // the latest
	since   time.Time    // when verdict.health began
	shown   *vm.Instance // as in the snapshot; nil before the first verdict and after the end
	place   int          // in deadlines, plus 1; 0 is none
	queued  atomic.Bool  // in dialled
}

// New makes a Monitor without instances. Run makes it watch.
func New(o Options) *Monitor {
	o.MaxAge = cmp.Or(o.MaxAge, defaultMaxAge)
	o.Interval = cmp.Or(o.Interval, defaultInterval)
	m := &Monitor{
		o:       o,
		began:   time.Now(),
		dialled: make(chan *entry, 1024),
		rearm:   make(chan struct{}, 1),
		hurry:   make(chan struct{}, 1),
		entries: make(map[vm.InstanceID]*entry),
		builder: vm.NewBuilder(o.MaxPerApp),
	}
	m.snapshot.Store(m.builder.Snapshot())
	return m
}

// Snapshot returns the latest snapshot. It takes no lock.
func (m *Monitor) Snapshot() *vm.Snapshot { return m.snapshot.Load() }

// reviewLocked judges an entry again and returns what changed.
func (m *Monitor) reviewLocked(e *entry, now time.Time) (c change) {
	if e.alive(now, m.o.MaxAge) {
		if !e.verdict.health.Serves() { // it was not: what dials said is of another time
			e.dials.forgive()
			e.ejection = ejection{}
			if !e.first {
				e.warm = now
			}
			e.first = false
		}
		if e.ejection.update(e.dials.row(), now) {
			e.warm = now
		}
	}
	old := e.verdict
	e.verdict = e.judge(now, m.o.MaxAge)
	m.due.update(e)
	if e.shown != nil && e.verdict.health == old.health {
		if e.verdict.weight != old.weight {
			m.showLocked(e)
		}
		return change{}
	}
	if e.shown != nil {
		m.counts[old.health]--
		c = change{e.spec.ID, e.spec.App, old.health, e.verdict.health, e.verdict.reason}
	}
	m.counts[e.verdict.health]++
	e.since = now
	m.showLocked(e)
	return c
}

// showLocked puts an entry into the next snapshot as it is now.
func (m *Monitor) showLocked(e *entry) {
	e.shown = &vm.Instance{Spec: e.spec, Health: e.verdict.health, Weight: e.verdict.weight, Live: e.live}
	m.builder.Put(e.shown)
}

// publishLocked publishes what changed, if anything did.
func (m *Monitor) publishLocked() { m.snapshot.Store(m.builder.Snapshot()) }

// change is an instance's step from one state to another.
type change struct {
	id       vm.InstanceID
	app      vm.AppID
	from, to vm.Health
	reason   string
}

// report logs what changed; mu is not held.
func (m *Monitor) report(level slog.Level, changes []change) {
	for _, c := range changes {
		m.o.Log.Log(context.Background(), level, "instance health changed",
			"instance", c.id, "app", c.app, "from", c.from.String(), "to", c.to.String(), "reason", c.reason)
	}
}
