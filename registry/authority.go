package registry

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"sallyport/internal/vm"
	"sallyport/registry/store"
)

// Authority: besides its evidence, two things let an instance in, and both are taken back:
//
//	the webhook    asked at each registration, and AuthorizeInterval after its last answer: a
//	               machine that keeps its tunnel up and never comes again is asked about too.
//	               Its denial refuses the instance at once; an error of it changes nothing
//	the proof      a chain of certificates that led to a root in force. It ends with the first
//	               of its certificates, or when the root is not in force any more; ProofGrace
//	               later the instance is refused
//
// Who is refused keeps its address and key, and gets no traffic until it registers and is let
// in. That is stored: a restart lets nobody in.

// Fingerprint is the SHA-256 of a root's certificate.
type Fingerprint [sha256.Size]byte

// Proof is the chain by which an instance is known. The zero Proof is of no root.
type Proof struct {
	Root  Fingerprint
	Until time.Time // when the first certificate of the chain ends
}

const (
	maxAsking    = 8                // questions to the webhook at once, apart from registrations
	askRetry     = 30 * time.Second // after an error of the webhook
	minSupervise = time.Second      // a store that fails must not make the loop spin
	maxSupervise = time.Minute      // so late may it be seen that a proof is over

	textDenied = "authorization: "
	textEnded  = "certificate: "
)

// SetAuthorities tells which roots are in force, at the start and whenever they change. Until
// the first call none is known, and nobody's proof ends for that.
func (r *Registry) SetAuthorities(roots []Fingerprint) {
	if n := r.table.setAuthorities(roots, time.Now()); n > 0 {
		r.o.Log.Warn("the authority of registered instances is not in force any more: they are refused unless they register again in time",
			"instances", n, "grace", r.o.ProofGrace.String())
	}
}

// authorize asks whether q may register. A denial takes its instance's authority back.
func (r *Registry) authorize(ctx context.Context, q *Request) error {
	if r.o.Authorize == nil {
		return nil
	}
	if r.table.withoutEvidence(*q) { // whoever asks is maybe not the machine that has shown some
		return ErrNoEvidence
	}
	q.revocations = r.table.revocations(q.Instance)
	err := r.o.Authorize(ctx, *q)
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
		r.o.Log.Error("an instance that the webhook denies cannot be taken out as it should be; it is tried again", "instance", string(q.Instance), "error", failed)
	}
	return err
}

// supervise takes back what has ended, until ctx ends.
func (r *Registry) supervise(ctx context.Context) error {
	told := false
	for ctx.Err() == nil {
		ended, unasked, wait := r.table.supervised(time.Now(), r.o.Authorize != nil)
		err := errors.Join(r.revokeAll(ctx, ended), r.askAgain(ctx, unasked))
		if err != nil && ctx.Err() == nil && !told {
			r.o.Log.Warn("whether instances are still authorized cannot be told, or not be applied: they stay as they are, and are tried again", "error", err)
		}
		told = err != nil
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

// askAgain asks the webhook about instances by what they registered with. One error stands
// for all: most have the same cause.
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
	_ = asking.Wait() // of the errors, which are in failed
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
	r.table.asked(q.Instance, time.Now().Add(pause))
	return err
}

// revoke takes an instance's authority back: it is out before that is stored, and even if it
// cannot be.
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
	r.o.Log.Warn("instance refused: it gets no traffic until it registers again and is let in", "instance", string(id), "app", string(rec.App), "reason", why)
	c := change{id: id, old: rec, next: rec, rev: rev}
	c.next.Revoked = why
	err = r.commit(ctx, c)
	if errors.Is(err, store.ErrConflict) { // it has registered with another gateway, whose word holds
		return errors.Join(shut, r.catchUp(ctx, id))
	}
	return errors.Join(shut, err)
}
