package registry

import (
	"context"
	"fmt"
	"time"

	"sallyport/internal/vm"
	"sallyport/registry/record"
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
	if rev == 0 || rec.Evidence == (record.Digest{}) || rec.Node != r.o.Node || r.table.refusal(id) != "" {
		return nil
	}
	now := time.Now()
	since := now
	r.table.with(id, func(e *entry) { since = e.wonder(now) })
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

// overdue returns why an instance may not be served without a verdict any more; "": it may.
func (t *table) overdue(id vm.InstanceID, now time.Time) (why string) {
	t.with(id, func(e *entry) {
		if end := t.undecidedEndLocked(e); !end.IsZero() && !end.After(now) {
			why = overdueText(e.undecidedSince(), t.undecidedFor, nil)
		}
	})
	return why
}
