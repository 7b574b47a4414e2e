package registry

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sallyport/internal/oneline"
	"sallyport/internal/vm"
	"sallyport/registry/record"
	"sallyport/registry/store"
)

// Accepted evidence may later be refused, because collateral and policy change. So the evidence of
// each instance that registered with this node last is appraised again: after a start,
// ReattestInterval after its last verdict, and when Reattest is called.
//
//	accepted    The instance stays, or comes back: store, peer, publish, as in a registration.
//	refused     The data plane stops serving it and ends its connections, its peer is removed,
//	            and its record has the reason. It keeps its address and key.
//	undecided   It is tried again after a growing pause, and served for a limited time
//	            (undecided.go).
//
// One goroutine appraises one instance after the other, with pauses. Rules that need no
// collateral are applied before: to all instances at a start, before any is served, and without
// pauses when Reattest is called (recheck.go).

const (
	// paceShare is the length of the pause after an appraisal, in appraisals: all together use a
	// tenth of a core. 10,000 of 1.5 ms are done in 150 s.
	paceShare = 9

	minPace = time.Millisecond
	maxPace = time.Second // most of a slow appraisal is waiting for the network

	minRetry = time.Minute // doubling
	maxRetry = time.Hour
)

// errMissing refuses an instance whose evidence is lost.
var errMissing = errors.New("its evidence is missing in the store: it must register again")

// Reattest makes the evidence of all instances due, because policy or collateral has changed;
// reason is for the log. It returns at once.
func (r *Registry) Reattest(reason string) {
	if r.o.Appraise == nil {
		return
	}
	n := r.table.demandAll()
	r.o.Log.Info("appraising the evidence of all instances again", "reason", reason, "instances", n)
}

// reattest appraises evidence that is due, until ctx ends.
func (r *Registry) reattest(ctx context.Context) error {
	if r.o.Appraise == nil {
		return nil
	}
	if r.table.anyHeld() {
		r.recheckAll(ctx)
	}
	failed, rechecked := false, r.table.demand()
	for ctx.Err() == nil {
		if demand := r.table.demand(); demand != rechecked {
			rechecked = demand
			r.recheckAll(ctx)
		}
		due, wait, failing := r.table.due(time.Now())
		if failed && failing == 0 {
			r.o.Log.Info("evidence of all instances can be appraised again")
			failed = false
		}
		if len(due) == 0 {
			r.rest(ctx, wait)
			continue
		}
		for _, id := range due {
			began := time.Now()
			err := r.reappraise(ctx, id)
			if err != nil && ctx.Err() == nil && !failed {
				r.o.Log.Warn("cannot appraise evidence; affected instances keep their status for a limited time and will be retried",
					"instance", string(id), "limit", r.o.UndecidedFor.String(), "error", err)
				failed = true
			}
			if r.rest(ctx, min(max(paceShare*time.Since(began), minPace), maxPace)) {
				break // other instances may be due
			}
		}
	}
	return nil
}

// rest waits. It reports whether something other than time has ended the wait.
func (r *Registry) rest(ctx context.Context, wait time.Duration) bool {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return false
	case <-r.table.wake:
	case <-ctx.Done():
	}
	return true
}

// reappraise appraises the stored evidence of one instance again, and puts the verdict into force.
// After an error the evidence is due again later.
func (r *Registry) reappraise(ctx context.Context, id vm.InstanceID) error {
	leave, err := r.lanes.enter(ctx, id)
	if err != nil {
		return err
	}
	defer leave()
	asOf := r.table.demand()
	err = store.ErrConflict
	for try := 0; try < maxTries && errors.Is(err, store.ErrConflict); try++ { // another node may be faster
		rec, rev := r.table.stored(id)
		if rev == 0 || rec.Evidence == (record.Digest{}) || rec.Node != r.o.Node {
			return nil // another node appraises it
		}
		err = r.reappraiseRecord(ctx, change{id: id, old: rec, next: rec, rev: rev, appraised: true, asOf: asOf})
	}
	if err != nil && ctx.Err() == nil {
		r.metrics.appraised("undecided")
		err = oneline.Join(err, r.undecided(ctx, id, err))
		r.table.postpone(id, asOf, time.Now())
	}
	return err
}

// reappraiseRecord makes one try of it; c has the record as it is now.
func (r *Registry) reappraiseRecord(ctx context.Context, c change) (err error) {
	if c.next.Refused, err = r.appraiseStored(ctx, c.id, c.old, c.rev); err != nil {
		return err
	}
	c.next.Undecided = 0
	if err := r.rule(ctx, c); err != nil {
		return err
	}
	if c.next.Refused != "" {
		r.metrics.appraised("refused")
	} else {
		r.metrics.appraised("accepted")
	}
	return nil
}

// appraiseStored returns why the stored evidence of an instance is refused now; "": it is accepted.
func (r *Registry) appraiseStored(ctx context.Context, id vm.InstanceID, rec record.Record, rev int64) (refusal string, err error) {
	p, _, err := r.o.Store.Get(ctx, record.EvidenceKey(id))
	if err != nil {
		return "", err
	}
	if record.DigestOf(p.Value) == rec.Evidence {
		return r.appraise(ctx, id, rec.App, p.Value)
	}
	if err := r.catchUp(ctx, id); err != nil {
		return "", err
	}
	if _, now := r.table.stored(id); now != rev { // it has registered with another node
		return "", store.ErrConflict
	}
	return refusalText(errMissing), nil
}

// rule puts the verdict c.next.Refused into force. A refusal is in force before it is stored, and
// even if that fails.
func (r *Registry) rule(ctx context.Context, c change) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), applyTimeout)
	defer cancel()
	before := r.table.refusal(c.id)
	var shut error
	if c.next.Refused != "" {
		r.table.with(c.id, func(e *entry) { e.refuse(c.next.Refused) })
		shut = r.applyUnsettled(ctx, c.id)
		if before != c.next.Refused {
			r.o.Log.Warn("instance refused: it gets no traffic until its evidence is accepted again", "instance", string(c.id), "app", string(c.next.App), "reason", c.next.Refused)
		}
	}
	err := r.commit(ctx, c)
	switch {
	case errors.Is(err, store.ErrConflict): // the record of another node counts
		return oneline.Join(err, r.catchUp(ctx, c.id))
	case err != nil:
		return oneline.Join(shut, fmt.Errorf("cannot store the verdict %q: %w", c.next.Refused, err))
	case shut != nil:
		return shut
	}
	if before != "" && c.next.Refused == "" {
		r.o.Log.Info("instance accepted again", "instance", string(c.id), "app", string(c.next.App), "was", before)
	}
	return r.applyUnsettled(ctx, c.id)
}
