package registry

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode"

	"sallyport/internal/vm"
	"sallyport/registry/record"
	"sallyport/registry/store"
)

// Evidence is what proved a registration: the guest's certificate with its attestation. The store
// keeps it, to be appraised again, under a key of its own: that of 10,000 instances is 100 MB,
// which a start has no time to read. The record has its digest. Evidence is appraised
//
//	at a registration   if it is new, or the instance is refused
//	later               at intervals (reattest.go)
//
// After a registration without evidence the stored evidence stays. But an instance that is
// refused, or that comes with another WireGuard key or compose file than its evidence did, must
// show evidence: otherwise the owner of any certificate of the authority without evidence could
// take the place, and the verdict, of the instance that has shown some.

// MaxEvidence is the limit of the evidence of one registration, in bytes.
const MaxEvidence = store.MaxValue

// prove has the evidence of a registration appraised, if that is needed. The caller has appraised it
// already, but perhaps by an earlier policy.
func (r *Registry) prove(ctx context.Context, q *registration) error {
	if len(q.Evidence) == 0 || r.table.trusts(q) {
		return nil
	}
	q.appraised, q.asOf = true, r.table.demand()
	if r.o.Appraise == nil {
		return nil
	}
	refusal, err := r.appraise(ctx, q.Instance, q.App, q.Evidence)
	if err == nil && refusal != "" {
		err = fmt.Errorf("%w: %s", ErrEvidence, refusal)
	}
	return err
}

// appraise returns why evidence is refused; "": it is accepted. Its error wraps ErrUndecided.
func (r *Registry) appraise(ctx context.Context, id vm.InstanceID, app vm.AppID, evidence []byte) (refusal string, err error) {
	ctx, cancel := context.WithTimeout(ctx, applyTimeout)
	defer cancel()
	switch err := r.o.Appraise(ctx, id, app, evidence); {
	case err == nil:
		return "", nil
	case errors.Is(err, ErrUndecided):
		return "", err
	case ctx.Err() != nil, errors.Is(err, context.DeadlineExceeded):
		return "", fmt.Errorf("%w: %w", ErrUndecided, err)
	default:
		return refusalText(err), nil
	}
}

// refusalText returns the text of err in a form that can be stored and shown on a terminal: an
// error about hostile evidence may quote it.
func refusalText(err error) string {
	text := strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(err.Error(), "?"))
	if len(text) > record.MaxReason {
		text = strings.ToValidUTF8(text[:record.MaxReason], "")
	}
	if text = strings.TrimSpace(text); text == "" {
		return "no reason given"
	}
	return text
}

// trusts reports whether the evidence of q was accepted before, and still is.
func (t *table) trusts(q *registration) (yes bool) {
	t.with(q.Instance, func(e *entry) {
		yes = e.record.Evidence == q.digest && e.unproven(t.o.RequireEvidence) == ""
	})
	return yes
}
