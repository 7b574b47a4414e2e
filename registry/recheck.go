package registry

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"sallyport/internal/vm"
	"sallyport/registry/record"
)

// A recheck applies to stored evidence the rules that need no collateral (Options.Recheck). So an
// instance that breaks one is refused, also after the policy became stricter while the gateway was
// down, and while collateral is not available. It takes 72 µs for the evidence of one instance,
// and up to 37 ms for the largest that a hostile guest can make.

// recheckTime bounds the recheck of a start. An instance that was not rechecked by then is held: it
// is not served before its recheck, soon after the start.
const recheckTime = 5 * time.Second

// heldText is a refusal that is never stored.
const heldText = "its evidence was not checked yet since the start of the gateway"

// recheckAtStart refuses in memory the instances that break a rule that needs no collateral, before
// any is served. The verdicts are stored by the appraisals soon after the start.
func (r *Registry) recheckAtStart(ctx context.Context) {
	if r.o.Appraise == nil {
		return
	}
	var found problems
	late := time.Now().Add(recheckTime)
	type finding struct {
		id  vm.InstanceID
		why string
	}
	ids := r.table.withEvidence()
	findings := make([]finding, len(ids))
	var workers errgroup.Group
	workers.SetLimit(runtime.GOMAXPROCS(0))
	for i, id := range ids {
		workers.Go(func() error {
			findings[i] = finding{id, r.recheckEarly(ctx, id, late)}
			return nil
		})
	}
	_ = workers.Wait() // none fails
	for _, f := range findings {
		if f.why != "" {
			r.table.with(f.id, func(e *entry) { e.refuse(f.why) })
			found.add(fmt.Errorf("instance %s: %s", f.id, f.why))
		}
	}
	if err := found.err(); err != nil {
		r.o.Log.Warn("registered instances are refused from the start", "instances", found.count, "error", err)
	}
}

// recheckEarly returns why an instance is refused at the start; "": it is not.
func (r *Registry) recheckEarly(ctx context.Context, id vm.InstanceID, late time.Time) string {
	if why := r.table.overdue(id, time.Now()); why != "" {
		return why
	}
	if r.o.Recheck == nil {
		return ""
	}
	if time.Now().After(late) {
		return heldText
	}
	switch err := r.recheck(ctx, id); {
	case err == nil:
		return ""
	case errors.Is(err, errUnread):
		return heldText
	default:
		return refusalText(err)
	}
}

// errUnread is a failure of the store. It is not a verdict on evidence.
var errUnread = errors.New("cannot read the evidence")

// recheck applies Options.Recheck to what an instance has registered with.
func (r *Registry) recheck(ctx context.Context, id vm.InstanceID) error {
	rec, _ := r.table.stored(id)
	p, _, err := r.o.Store.Get(ctx, record.EvidenceKey(id))
	if err != nil {
		return fmt.Errorf("%w: %w", errUnread, err)
	}
	if record.DigestOf(p.Value) != rec.Evidence {
		return errMissing
	}
	return r.o.Recheck(id, rec.App, p.Value)
}

// recheckAll refuses at once the instances that break a rule that needs no collateral, and releases
// the others.
func (r *Registry) recheckAll(ctx context.Context) {
	if r.o.Recheck == nil {
		return
	}
	var problems problems
	for _, id := range r.table.withEvidence() {
		if ctx.Err() != nil {
			return
		}
		err := r.recheck(ctx, id)
		switch {
		case err == nil:
			err = r.release(ctx, id)
		case !errors.Is(err, errUnread):
			err = r.reappraise(ctx, id) // it refuses, and stores that
		}
		if err != nil {
			problems.add(fmt.Errorf("instance %s: %w", id, err))
		}
	}
	if err := problems.err(); err != nil && ctx.Err() == nil {
		r.o.Log.Warn("cannot check stored evidence against the policy; it is tried again", "instances", problems.count, "error", err)
	}
}

// release serves an instance that was held.
func (r *Registry) release(ctx context.Context, id vm.InstanceID) error {
	if !r.table.held(id) {
		return nil
	}
	leave, err := r.lanes.enter(ctx, id)
	if err != nil {
		return err
	}
	defer leave()
	return r.readmit(ctx, id)
}

// readmit is release for the holder of the instance's lane.
func (r *Registry) readmit(ctx context.Context, id vm.InstanceID) error {
	ctx, cancel := context.WithTimeout(ctx, applyTimeout)
	defer cancel()
	r.table.with(id, (*entry).release)
	return r.applyUnsettled(ctx, id)
}

// held reports whether an instance is held.
func (t *table) held(id vm.InstanceID) (yes bool) {
	t.with(id, func(e *entry) { yes = e.held() })
	return yes
}

// anyHeld reports whether any instance is held.
func (t *table) anyHeld() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, e := range t.instances {
		if e.held() {
			return true
		}
	}
	return false
}

// withEvidence lists the instances of this node that have shown evidence.
func (t *table) withEvidence() (ids []vm.InstanceID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, id := range slices.Sorted(maps.Keys(t.instances)) {
		if t.instances[id].hasEvidence(t.o.Node) {
			ids = append(ids, id)
		}
	}
	return ids
}
