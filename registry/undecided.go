package registry

import (
	"context"
	"fmt"
	"time"

	"sallyport/internal/vm"
	"sallyport/registry/record"
)

// If collateral is not available there is no verdict on accepted evidence. Its instance stays
// served, but not without limit: otherwise an attacker who blocks collateral would keep every
// instance registered. After Options.UndecidedFor it is refused until there is a verdict. The
// record has the begin of that time, so that a restart does not begin it again.

// undecided notes why there is no verdict on an instance, whose lane the caller holds, and refuses
// it if its time is over.
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
	r.table.with(id, func(e *entry) { since = e.undecided(now) })
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
	text := fmt.Sprintf("no verdict since %s, which is longer than undecided_for (%v)", since.UTC().Format(time.RFC3339), limit)
	if why != nil {
		text += ": " + why.Error()
	}
	return refusalText(fmt.Errorf("%s", text))
}

// overdue returns why an instance may not be served without a verdict any more; "": it may.
func (t *table) overdue(id vm.InstanceID, now time.Time) (why string) {
	t.with(id, func(e *entry) {
		if end := t.undecidedEndLocked(e); !end.IsZero() && !end.After(now) {
			why = overdueText(e.undecidedSince(), t.o.UndecidedFor, nil)
		}
	})
	return why
}
