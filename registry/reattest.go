package registry

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sallyport/internal/vm"
	"sallyport/registry/record"
	"sallyport/registry/store"
)

// Re-attestation: evidence that was good may no longer be, since collateral and policy
// change. So that of each instance that registered with this gateway last is judged again:
// after a start, ReattestInterval after its last verdict, and when Reattest asks for it.
//
//	accepted    it stays, or is let in again: store, peer, publish, as in a registration
//	refused     the data plane takes it out and ends its connections, its peer goes, its
//	            record says why. Address and key stay its own
//	undecided   it is tried again after a growing pause, and stays for a limited time (undecided.go)
//
// One goroutine judges one instance after the other, with pauses. What can be told at once,
// without collateral, is told before that: before anybody is served after a start, and of all
// without pauses when Reattest asks for it (recheck.go).

const (
	// paceShare is how many times as long as a judgement the pause after it is: all
	// together take a tenth of a core. 10,000 at 1.5 ms are done in 150 s.
	paceShare = 9

	minPace = time.Millisecond
	maxPace = time.Second // most of a slow judgement is waiting for the network

	minRetry = time.Minute // doubling
	maxRetry = time.Hour
)

// errMissing refuses what the store should have, and has not.
var errMissing = errors.New("what it registered with is not in the store any more")

// Reattest has the evidence of all instances judged again soon, because what it is judged by
// has changed; reason is for the log. It returns at once.
func (r *Registry) Reattest(reason string) {
	if r.o.Appraise == nil {
		return
	}
	n := r.table.demandAll()
	r.o.Log.Info("evidence is judged again", "reason", reason, "instances", n)
}

// reattest judges whoever is due, until ctx ends.
func (r *Registry) reattest(ctx context.Context) error {
	if r.o.Appraise == nil {
		return nil
	}
	if r.table.anyHeld() {
		r.recheckAll(ctx)
	}
	told, rechecked := false, r.table.demand()
	for ctx.Err() == nil {
		if demand := r.table.demand(); demand != rechecked {
			rechecked = demand
			r.recheckAll(ctx)
		}
		due, wait, failing := r.table.due(time.Now())
		if told && failing == 0 {
			r.o.Log.Info("evidence of all instances can be judged again")
			told = false
		}
		if len(due) == 0 {
			r.rest(ctx, wait)
			continue
		}
		for _, id := range due {
			began := time.Now()
			err := r.judge(ctx, id)
			if err != nil && ctx.Err() == nil && !told {
				r.o.Log.Warn("evidence cannot be judged: its instance, and others like it, are served for a limited time, and all are tried again",
					"instance", string(id), "limit", r.o.UndecidedFor.String(), "error", err)
				told = true
			}
			if r.rest(ctx, min(max(paceShare*time.Since(began), minPace), maxPace)) {
				break // who is due has changed
			}
		}
	}
	return nil
}

// rest waits. It reports whether something else than time ended that.
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

// judge judges the stored evidence of one instance, and puts the verdict into force. On an
// error it is due again later.
func (r *Registry) judge(ctx context.Context, id vm.InstanceID) error {
	leave, err := r.lanes.enter(ctx, id)
	if err != nil {
		return err
	}
	defer leave()
	asOf := r.table.demand()
	err = store.ErrConflict
	for try := 0; try < maxTries && errors.Is(err, store.ErrConflict); try++ { // another gateway may be faster
		rec, rev := r.table.stored(id)
		if rev == 0 || rec.Evidence == (record.Digest{}) || rec.Node != r.o.Node {
			return nil // no longer ours to judge
		}
		err = r.judgeRecord(ctx, change{id: id, old: rec, next: rec, rev: rev, judged: true, asOf: asOf})
	}
	if err != nil && ctx.Err() == nil {
		r.metrics.judged("undecided")
		err = errors.Join(err, r.undecided(ctx, id, err))
		r.table.postpone(id, asOf, time.Now())
	}
	return err
}

func (r *Registry) judgeRecord(ctx context.Context, c change) (err error) {
	if c.next.Refused, err = r.reappraise(ctx, c.id, c.old, c.rev); err != nil {
		return err
	}
	c.next.Undecided = 0
	if err := r.rule(ctx, c); err != nil {
		return err
	}
	if c.next.Refused != "" {
		r.metrics.judged("refused")
	} else {
		r.metrics.judged("accepted")
	}
	return nil
}

// reappraise tells why what an instance has registered with is refused now; "": it is not.
func (r *Registry) reappraise(ctx context.Context, id vm.InstanceID, rec record.Record, rev int64) (refusal string, err error) {
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
	if _, now := r.table.stored(id); now != rev { // it has registered with another gateway
		return "", store.ErrConflict
	}
	return refusalText(errMissing), nil
}

// rule puts the verdict c.next.Refused into force. A refusal is in force before it is
// stored, and even if that fails; a restart judges anew.
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
	case errors.Is(err, store.ErrConflict): // what another gateway has stored holds
		return errors.Join(err, r.catchUp(ctx, c.id))
	case err != nil:
		return errors.Join(shut, fmt.Errorf("verdict %q cannot be stored: %w", c.next.Refused, err))
	case shut != nil:
		return shut
	}
	if before != "" && c.next.Refused == "" {
		r.o.Log.Info("instance accepted again", "instance", string(c.id), "app", string(c.next.App), "was", before)
	}
	return r.applyUnsettled(ctx, c.id)
}
