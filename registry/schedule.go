package registry

import (
	"cmp"
	"slices"
	"time"

	"sallyport/internal/backoff"
	"sallyport/internal/vm"
	"sallyport/registry/record"
)

// never is the interval if evidence is appraised again only when Reattest is called.
const never = 100 * 365 * 24 * time.Hour

// due lists the instances of this node whose evidence is due, the oldest verdict first. Those whose
// last appraisal gave no verdict come last, so that they do not delay the others, and failing
// counts them. After wait the next one is due.
func (t *table) due(now time.Time) (ids []vm.InstanceID, wait time.Duration, failing int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	select {
	case <-t.wake: // its cause is seen below
	default:
	}
	var all []*entry
	wait = cmp.Or(t.o.ReattestInterval, never) // evidence that is appraised meanwhile is not due before
	for _, e := range t.instances {
		if !e.hasEvidence(t.o.Node) || e.problem != "" {
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
		return cmp.Or(cmp.Compare(min(a.tries, 1), min(b.tries, 1)), a.verdict.Compare(b.verdict), cmp.Compare(a.id, b.id))
	})
	for _, e := range all {
		ids = append(ids, e.id)
	}
	return ids, wait, failing
}

// demand returns the number of the last demand to appraise all. An appraisal that began before a
// demand does not answer it.
func (t *table) demand() uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.demands
}

// demandAll makes all evidence due, and counts it.
func (t *table) demandAll() (n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.demands++
	for _, e := range t.instances {
		e.schedule(time.Time{})
		if e.record.Evidence != (record.Digest{}) {
			n++
		}
	}
	t.wakeLocked()
	return n
}

// wakeLocked makes reattest look again at what is due.
func (t *table) wakeLocked() {
	select {
	case t.wake <- struct{}{}:
	default: // it is about to look
	}
}

// nextLocked returns when evidence is appraised next: at then, or at once if another demand came
// after asOf.
func (t *table) nextLocked(asOf uint64, then time.Time) time.Time {
	if asOf == t.demands {
		return then
	}
	t.wakeLocked()
	return time.Time{}
}

// postpone notes that there was no verdict. It is tried again after a growing pause, and when
// the time without a verdict ends.
func (t *table) postpone(id vm.InstanceID, asOf uint64, now time.Time) {
	t.with(id, func(e *entry) {
		pause := backoff.Double(minRetry, maxRetry, e.tries+1)
		if end := t.undecidedEndLocked(e); !end.IsZero() && end.After(now) {
			pause = min(pause, end.Sub(now))
		}
		e.postpone(t.nextLocked(asOf, now.Add(pause)))
	})
}

// refusal returns the verdict in force; "": accepted, or there is none.
func (t *table) refusal(id vm.InstanceID) (why string) {
	t.with(id, func(e *entry) { why = e.refused })
	return why
}

// undecidedEndLocked returns until when e is served without a verdict; zero: it has one.
func (t *table) undecidedEndLocked(e *entry) time.Time {
	since := e.undecidedSince()
	if since.IsZero() || e.refused != "" {
		return time.Time{}
	}
	return since.Add(t.o.UndecidedFor)
}
