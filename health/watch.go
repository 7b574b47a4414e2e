package health

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"sallyport/internal/vm"
)

const (
	dumpTimeout   = 10 * time.Second
	hurryInterval = time.Second
	hurryFor      = time.Minute

	// firstLook is how long after a registration the first handshake is looked for:
	// a guest shakes hands as soon as it has its answer.
	firstLook = 200 * time.Millisecond
)

// Run watches until ctx ends, and then returns nil. Handshakes are asked for on a
// goroutine of their own: a device that does not answer must not keep an
// instance from going down in time.
func (m *Monitor) Run(ctx context.Context) error {
	var dumps sync.WaitGroup
	defer dumps.Wait()
	if m.o.Handshakes == nil {
		m.mu.Lock()
		m.settled = true
		m.mu.Unlock()
	} else {
		dumps.Go(func() { m.askForHandshakes(ctx) })
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		case <-m.rearm:
		case e := <-m.dialled:
			m.reviewDialled(e)
		}
		if m.lost.Swap(false) {
			m.reviewAll()
		}
		if wait, some := m.reviewDue(time.Now()); some {
			timer.Reset(wait)
		} else {
			timer.Stop()
		}
	}
}

// reviewDialled reviews e and all others that wait already, for one snapshot.
func (m *Monitor) reviewDialled(e *entry) {
	var changes []change
	m.mu.Lock()
	for now := time.Now(); e != nil; {
		e.queued.Store(false) // first: what happens from here on queues it again
		if e.shown != nil {
			changes = note(changes, m.reviewLocked(e, now))
		}
		select {
		case e = <-m.dialled:
		default:
			e = nil
		}
	}
	m.publishLocked()
	m.mu.Unlock()
	m.report(slog.LevelInfo, changes)
}

// reviewAll reviews everybody: the queue was too short for those whose dials changed
// something.
func (m *Monitor) reviewAll() {
	var changes []change
	m.mu.Lock()
	now := time.Now()
	for _, e := range m.entries {
		changes = note(changes, m.reviewLocked(e, now))
	}
	m.publishLocked()
	m.mu.Unlock()
	m.report(slog.LevelInfo, changes)
}

// reviewDue reviews all whose time has come. It returns how long nothing will be
// due; some is false if nothing will be by time alone.
func (m *Monitor) reviewDue(now time.Time) (wait time.Duration, some bool) {
	var changes []change
	m.mu.Lock()
	for {
		var e *entry
		if e, wait, some = m.due.due(now); e == nil {
			break
		}
		changes = note(changes, m.reviewLocked(e, now))
	}
	m.publishLocked()
	m.mu.Unlock()
	m.report(slog.LevelInfo, changes)
	return wait, some
}

func (m *Monitor) askForHandshakes(ctx context.Context) {
	failing := false
	var last, next time.Time // dump
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-m.hurry:
			// Still no more than one dump in hurryInterval, however many register, and never
			// later than it would be without them.
			if wait := max(firstLook, hurryInterval-time.Since(last)); wait < time.Until(next) {
				timer.Reset(wait)
				next = time.Now().Add(wait)
			}
			continue
		case <-timer.C:
		}
		last = time.Now()
		dump, err := m.dump(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			m.takeHandshakes(dump, time.Now())
			m.wake()
		case !failing:
			m.o.Log.Warn("handshakes cannot be read; instances age from the last known ones, check the WireGuard device", "error", err)
		}
		if failing && err == nil {
			m.o.Log.Info("handshakes can be read again")
		}
		failing = err != nil
		wait := m.interval(time.Now())
		timer.Reset(wait)
		next = time.Now().Add(wait)
	}
}

func (m *Monitor) dump(ctx context.Context) (map[vm.WGKey]time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, dumpTimeout)
	defer cancel()
	return m.o.Handshakes(ctx)
}

// takeHandshakes notes the instances that shook hands since the last dump.
func (m *Monitor) takeHandshakes(dump map[vm.WGKey]time.Time, now time.Time) {
	var changes []change
	m.mu.Lock()
	for _, e := range m.entries {
		if e.observe(dump[e.spec.Key], now) {
			changes = note(changes, m.reviewLocked(e, now))
		}
	}
	m.publishLocked()
	level, counts := slog.LevelInfo, m.counts
	if !m.settled { // thousands at once say nothing one by one
		level = slog.LevelDebug
	}
	first := !m.settled
	m.settled = true
	m.mu.Unlock()
	m.report(level, changes)
	if first {
		m.o.Log.Info("first handshakes read", "fresh", counts[vm.Fresh], "stale", counts[vm.Stale],
			"down", counts[vm.Down], "never", counts[vm.Never])
	}
}

// interval is the time until the next dump.
func (m *Monitor) interval(now time.Time) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.counts[vm.Never] > 0 && now.Sub(m.newcomer) < hurryFor {
		return min(hurryInterval, m.o.Interval)
	}
	return m.o.Interval
}

// note appends c if it is a change.
func note(changes []change, c change) []change {
	if c.id != "" {
		changes = append(changes, c)
	}
	return changes
}
