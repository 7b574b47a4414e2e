package registry

import (
	"cmp"
	"slices"
	"time"

	"sallyport/internal/vm"
)

// appraisal is what is known of an instance's evidence.
type appraisal struct {
	refused string    // why it is not accepted; "": it is, or nobody has judged it
	judged  time.Time // the last verdict; zero: none since the start
	next    time.Time // when to judge it again; zero: now
	tries   int       // in a row that gave no verdict
	since   time.Time // of the first of them; zero: it is in the record, or there is none
}

// never is when evidence is judged again where only Reattest asks for it.
const never = 100 * 365 * 24 * time.Hour

// due lists the instances of this node whose evidence is to be judged now: those whose last
// verdict is the oldest first, those that could not be judged last, lest they hold up the
// others. wait is until the next one; failing counts those that could not be judged.
func (t *table) due(now time.Time) (ids []vm.InstanceID, wait time.Duration, failing int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	select {
	case <-t.wake: // what it was for is seen here
	default:
	}
	var all []*entry
	wait = cmp.Or(t.interval, never) // whose verdict comes meanwhile is not due before
	for _, e := range t.instances {
		if e.rev == 0 || e.record.Evidence == (digest{}) || e.record.Node != t.node || e.problem != "" {
			continue
		}
		if e.tries > 0 {
			failing++
		}
		if e.next.After(now) {
			wait = min(wait, e.next.Sub(now))
		} else {
			all = append(all, e)
		}
	}
	slices.SortFunc(all, func(a, b *entry) int {
		return cmp.Or(cmp.Compare(min(a.tries, 1), min(b.tries, 1)), a.judged.Compare(b.judged), cmp.Compare(a.id, b.id))
	})
	for _, e := range all {
		ids = append(ids, e.id)
	}
	return ids, wait, failing
}

// demand is the number of the last demand to judge all. A verdict that was begun before
// the next one does not answer that.
func (t *table) demand() uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.demands
}

// demandAll makes all due, and counts them.
func (t *table) demandAll() (n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.demands++
	for _, e := range t.instances {
		e.next = time.Time{}
		if e.record.Evidence != (digest{}) {
			n++
		}
	}
	t.wakeLocked()
	return n
}

// wakeLocked lets reattest look anew at who is due.
func (t *table) wakeLocked() {
	select {
	case t.wake <- struct{}{}:
	default: // it is about to
	}
}

// judgedLocked notes a verdict.
func (t *table) judgedLocked(e *entry, refused string, asOf uint64) {
	now := time.Now()
	if e.refused != refused {
		e.refused, e.settled = refused, false
	}
	e.judged, e.tries, e.since = now, 0, time.Time{}
	t.scheduleLocked(e, asOf, now.Add(cmp.Or(t.interval, never)))
}

// postpone notes that there was no verdict.
func (t *table) postpone(id vm.InstanceID, asOf uint64, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if e := t.instances[id]; e != nil {
		pause := min(minRetry<<min(e.tries, 10), maxRetry)
		if end := t.undecidedEndLocked(e); !end.IsZero() && end.After(now) {
			pause = min(pause, end.Sub(now))
		}
		t.scheduleLocked(e, asOf, now.Add(pause))
		e.tries++
	}
}

// scheduleLocked has e judged again then, or at once if another demand came meanwhile.
func (t *table) scheduleLocked(e *entry, asOf uint64, then time.Time) {
	e.next = then
	if asOf != t.demands {
		e.next = time.Time{}
		t.wakeLocked()
	}
}

// refuse puts a refusal into force that is not stored yet.
func (t *table) refuse(id vm.InstanceID, why string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if e := t.instances[id]; e != nil && e.refused != why {
		e.refused, e.settled = why, false
	}
}

// refusal is the verdict in force.
func (t *table) refusal(id vm.InstanceID) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if e := t.instances[id]; e != nil {
		return e.refused
	}
	return ""
}
