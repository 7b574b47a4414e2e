package registry

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"sallyport/internal/oneline"
	"sallyport/internal/vm"
	"sallyport/registry/record"
	"sallyport/registry/store"
)

// Besides its evidence, two things give an instance authority, and both can end:
//
//	the webhook    It is asked at each registration, and AuthorizeInterval after its last answer,
//	               also about an instance that keeps its tunnel up and never registers again. A
//	               denial refuses the instance at once. An error changes nothing.
//	the proof      A chain of certificates up to a root in force. It ends when its first
//	               certificate expires, or when the root is no longer in force. ProofGrace
//	               later the instance is refused.
//
// A refused instance keeps its address and key, and gets no traffic until a registration is
// admitted. The refusal is stored, so that it outlives a restart.

// Fingerprint is the SHA-256 of a root's certificate.
type Fingerprint = record.Fingerprint

// Proof is the chain that identifies an instance. The zero Proof has no root.
type Proof struct {
	Root  Fingerprint
	Until time.Time // when the first certificate of the chain expires
}

const (
	maxAsking    = 8                // questions to the webhook at once, besides those of registrations
	askRetry     = 30 * time.Second // after an error of the webhook
	minSupervise = time.Second      // a store that fails must not make the loop spin
	maxSupervise = time.Minute      // how late the end of a proof may be noticed

	textDenied = "authorization: "
	textEnded  = "certificate: "
)

// SetAuthorities sets the roots in force, at the start and whenever they change. Before the first
// call they are not known, and no proof ends because of its root.
func (r *Registry) SetAuthorities(roots []Fingerprint) {
	if n := r.table.setAuthorities(roots, time.Now()); n > 0 {
		r.o.Log.Warn("the root of registered instances is no longer in force: they are refused unless they register again in time",
			"instances", n, "grace", r.o.ProofGrace.String())
	}
}

// authorize asks whether q may register. A denial revokes the authority of its instance. What is
// revoked from here on, this registration does not restore.
func (r *Registry) authorize(ctx context.Context, q *registration) error {
	q.revocations = r.table.revocations(q.Instance)
	if r.o.Authorize == nil {
		return nil
	}
	if r.table.lacksEvidence(q) { // it may not be the instance that has shown some
		return ErrNoEvidence
	}
	err := r.o.Authorize(ctx, q.Request)
	switch {
	case err == nil:
		return nil
	case !errors.Is(err, ErrDenied):
		return fmt.Errorf("%w: %w", ErrAuthorizer, err)
	}
	if r.table.otherApp(q.Instance, q.App) {
		return err
	}
	if failed := r.revoke(ctx, q.Instance, textDenied+refusalText(err)); failed != nil {
		r.o.Log.Error("cannot apply the webhook's denial to the instance; it is tried again", "instance", string(q.Instance), "error", failed)
	}
	return err
}

// supervise revokes authority that has ended, until ctx ends.
func (r *Registry) supervise(ctx context.Context) error {
	reported := false
	for ctx.Err() == nil {
		ended, unasked, wait := r.table.supervised(time.Now(), r.o.Authorize != nil)
		err := oneline.Join(r.revokeAll(ctx, ended), r.askAgain(ctx, unasked))
		if err != nil && ctx.Err() == nil && !reported {
			r.o.Log.Warn("cannot check or apply the authorization of instances: they stay as they are, and are tried again", "error", err)
		}
		reported = err != nil
		if len(unasked) > 0 {
			wait = min(wait, askRetry)
		}
		r.restUntil(ctx, max(wait, minSupervise))
	}
	return nil
}

func (r *Registry) restUntil(ctx context.Context, wait time.Duration) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.table.supervision:
	case <-ctx.Done():
	}
}

func (r *Registry) revokeAll(ctx context.Context, all []revocation) error {
	var problems problems
	for _, e := range all {
		if err := r.revoke(ctx, e.id, e.why); err != nil {
			problems.add(fmt.Errorf("instance %s: %w", e.id, err))
		}
	}
	return problems.err()
}

// askAgain asks the webhook about instances by what they registered with. It returns one of the
// errors: most have the same cause.
func (r *Registry) askAgain(ctx context.Context, all []Request) error {
	var failed atomic.Pointer[error]
	var asking errgroup.Group
	asking.SetLimit(maxAsking)
	for _, q := range all {
		asking.Go(func() error {
			if err := r.askAbout(ctx, q); err != nil {
				failed.Store(&err)
			}
			return nil
		})
	}
	_ = asking.Wait() // nil: the errors are in failed
	if err := failed.Load(); err != nil {
		return *err
	}
	return nil
}

func (r *Registry) askAbout(ctx context.Context, q Request) error {
	err := r.o.Authorize(ctx, q)
	if errors.Is(err, ErrDenied) {
		return r.revoke(ctx, q.Instance, textDenied+refusalText(err))
	}
	pause := r.o.AuthorizeInterval
	if err != nil {
		pause = min(pause, askRetry)
	}
	r.table.with(q.Instance, func(e *entry) { e.askAt(time.Now().Add(pause)) })
	return err
}

// revoke revokes the authority of an instance: it is refused before that is stored, and even if
// that fails.
func (r *Registry) revoke(ctx context.Context, id vm.InstanceID, why string) error {
	leave, err := r.lanes.enter(ctx, id)
	if err != nil {
		return err
	}
	defer leave()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), applyTimeout)
	defer cancel()
	if !r.table.revoke(id, why) {
		return nil
	}
	shut := r.applyUnsettled(ctx, id)
	rec, rev := r.table.stored(id)
	r.o.Log.Warn("instance refused: it gets no traffic until it registers again and is admitted", "instance", string(id), "app", string(rec.App), "reason", why)
	c := change{id: id, old: rec, next: rec, rev: rev}
	c.next.Revoked = why
	err = r.commit(ctx, c)
	if errors.Is(err, store.ErrConflict) { // it has registered with another node, whose decision counts
		return oneline.Join(shut, r.catchUp(ctx, id))
	}
	return oneline.Join(shut, err)
}

// revocation is a refusal that is due.
type revocation struct {
	id  vm.InstanceID
	why string
}

// setAuthorities returns the number of instances whose root is no longer in force.
func (t *table) setAuthorities(roots []Fingerprint, now time.Time) (n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.authorities = make(map[Fingerprint]bool, len(roots))
	for _, f := range roots {
		t.authorities[f] = true
	}
	for _, e := range t.instances {
		if t.rootLocked(e, now) {
			n++
		}
	}
	select {
	case t.supervision <- struct{}{}:
	default: // it is about to look
	}
	return n
}

// rootLocked notes whether e's root is in force. It reports whether that has ended now.
func (t *table) rootLocked(e *entry, now time.Time) (ended bool) {
	inForce := t.authorities == nil || t.authorities[e.record.Root]
	return e.root(inForce || e.record.Node != t.o.Node || e.rev == 0, now)
}

// endLocked returns when and why e's proof has ended; zero: it has not.
func (t *table) endLocked(e *entry, now time.Time) (at time.Time, why string) {
	until := time.Unix(e.record.Until, 0)
	switch {
	case e.record.Node != t.o.Node:
		return time.Time{}, ""
	case !e.unrooted.IsZero():
		return e.unrooted, textEnded + "its root is not in force since " + e.unrooted.UTC().Format(time.RFC3339)
	case e.record.Until != 0 && now.After(until):
		return until, textEnded + "its chain expired at " + until.UTC().Format(time.RFC3339)
	}
	return time.Time{}, ""
}

// supervised lists the instances of this node whose authority has ended, and those that the
// webhook is asked about. After wait there may be others.
func (t *table) supervised(now time.Time, ask bool) (ended []revocation, unasked []Request, wait time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	wait = maxSupervise // an instance that registers meanwhile is not due before
	if ask {
		wait = min(wait, t.o.AuthorizeInterval)
	}
	for _, e := range t.instances {
		if e.rev == 0 || e.record.Node != t.o.Node || e.record.Revoked != "" {
			continue
		}
		t.rootLocked(e, now)
		at, why := t.endLocked(e, now)
		switch {
		case e.revoked != "": // which is not stored yet
			ended = append(ended, revocation{e.id, e.revoked})
			continue
		case !at.IsZero() && !at.Add(t.o.ProofGrace).After(now):
			ended = append(ended, revocation{e.id, why})
			continue
		case !at.IsZero():
			wait = min(wait, at.Add(t.o.ProofGrace).Sub(now))
		}
		if !ask || e.record.Facts == "" {
			continue
		}
		if e.ask.After(now) {
			wait = min(wait, e.ask.Sub(now))
		} else if facts, err := record.DecodeFacts(e.record.Facts); err == nil { // never fails: decoding the record has checked it
			unasked = append(unasked, Request{App: e.app, Instance: e.id, Compose: e.record.Compose, Key: e.record.Key, Facts: facts})
		}
	}
	return ended, unasked, wait
}

// revoke puts a revocation into force. It reports false if there is nothing to be stored.
func (t *table) revoke(id vm.InstanceID, why string) (unstored bool) {
	t.with(id, func(e *entry) {
		if e.rev > 0 {
			unstored = e.revoke(why)
		}
	})
	return unstored
}

// revocations returns how often the authority of an instance was revoked. A permission that
// was given before does not count after it.
func (t *table) revocations(id vm.InstanceID) (n uint64) {
	t.with(id, func(e *entry) { n = e.revocations })
	return n
}

// lacksEvidence reports whether q lacks evidence that its instance has shown.
func (t *table) lacksEvidence(q *registration) (yes bool) {
	t.with(q.Instance, func(e *entry) { yes = e.lacksEvidence(q, t.o.RequireEvidence) })
	return yes
}

// storedUntil returns the end of q's proof as it is stored. Guests may come with a new
// certificate each time: a later end is stored when twice as much time is left to it.
func storedUntil(e *entry, q *registration, now time.Time) int64 {
	if q.Proof.Until.IsZero() {
		return 0
	}
	until := q.Proof.Until.Unix()
	if left := e.record.Until - now.Unix(); e.record.Until <= until && 2*left >= until-now.Unix() {
		return e.record.Until
	}
	return until
}
