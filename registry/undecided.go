package registry

import (
	"context"
	"fmt"
	"time"

	"sallyport/internal/vm"
)

// Evidence that was accepted and cannot be judged now, because what Intel publishes cannot
// be had, is no worse than before: its instance is served on, but not for ever, or whoever
// keeps collateral away from the gateway would keep every machine in it. After
// Options.UndecidedFor it is refused until there is a verdict. When that time began is in
// the record: a restart does not begin it anew.

// undecided notes that there was no verdict, for this reason, on an instance whose lane the
// caller holds, and refuses it if its time is over.
func (r *Registry) undecided(ctx context.Context, id vm.InstanceID, why error) error {
	if r.table.held(id) && r.o.Recheck != nil {
		if err := r.recheck(ctx, id); err != nil {
			return err
		}
		if err := r.readmit(ctx, id); err != nil {
			return err
		}
	}
	rec, rev := r.table.stored(id)
	if rev == 0 || rec.Evidence == (digest{}) || rec.Node != r.o.Node || r.table.refusal(id) != "" {
		return nil
	}
	now := time.Now()
	since := r.table.undecidedSince(id, now)
	c := change{id: id, old: rec, next: rec, rev: rev}
	c.next.Undecided = since.Unix()
	if now.Sub(since) >= r.o.UndecidedFor {
		c.next.Refused = overdueText(since, r.o.UndecidedFor, why)
		return r.rule(ctx, c)
	}
	if c.next == rec {
		return nil
	}
	return r.commit(ctx, c)
}

func overdueText(since time.Time, limit time.Duration, why error) string {
	text := fmt.Sprintf("could not be judged since %s, which is longer than undecided_for (%v)", since.UTC().Format(time.RFC3339), limit)
	if why != nil {
		text += ": " + why.Error()
	}
	return refusalText(fmt.Errorf("%s", text))
}

// undecidedSince is when the time without a verdict began, now if it begins.
func (t *table) undecidedSince(id vm.InstanceID, now time.Time) time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.instances[id]
	if e == nil {
		return now
	}
	if since := e.undecidedSince(); !since.IsZero() && !since.After(now) { // a clock that was set back counts anew
		return since
	}
	e.since = now.Truncate(time.Second)
	return e.since
}

func (e *entry) undecidedSince() time.Time {
	if e.record.Undecided != 0 {
		return time.Unix(e.record.Undecided, 0)
	}
	return e.since
}

// undecidedEndLocked is until when e is served without a verdict; zero: it has one.
func (t *table) undecidedEndLocked(e *entry) time.Time {
	since := e.undecidedSince()
	if since.IsZero() || e.refused != "" {
		return time.Time{}
	}
	return since.Add(t.undecidedFor)
}

// overdue tells why an instance may not be served without a verdict any more; "": it may.
func (t *table) overdue(id vm.InstanceID, now time.Time) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.instances[id]
	if end := t.undecidedEndLocked(e); end.IsZero() || end.After(now) {
		return ""
	}
	return overdueText(e.undecidedSince(), t.undecidedFor, nil)
}
