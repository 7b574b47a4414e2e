package registry

import (
	"context"
	"errors"
	"fmt"

	"sallyport/internal/vm"
	"sallyport/registry/record"
)

// admit refuses what no state of the table could allow, and asks Authorize. allocate decides
// whether key and names are free, where it claims them.
func (r *Registry) admit(ctx context.Context, q *registration) error {
	if r.down.Load() {
		return ErrDown
	}
	if err := q.check(); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if q.Key == r.o.OwnKey {
		return ErrOwnKey
	}
	if q.Policy != nil && q.Policy.State() == vm.PolicyUnknown {
		q.Policy = nil // the guest reports none
	}
	if err := r.checkEvidence(q); err != nil {
		return err
	}
	var err error
	if q.facts, err = record.EncodeFacts(q.Facts); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return r.authorize(ctx, q)
}

// check checks for every caller what package rpc has parsed: an id that is not a label
// would become a key in the store that cannot be read back.
func (q *Request) check() error {
	if !isLabel(string(q.App)) {
		return fmt.Errorf("app_id %.70q is not a lower-case label", string(q.App))
	}
	if !isLabel(string(q.Instance)) {
		return fmt.Errorf("instance_id %.70q is not a lower-case label", string(q.Instance))
	}
	if err := vm.CheckReserved(q.App); err != nil {
		return fmt.Errorf("app_id %w", err)
	}
	if err := vm.CheckReserved(q.Instance); err != nil {
		return fmt.Errorf("instance_id %w", err)
	}
	if string(q.App) == string(q.Instance) {
		return fmt.Errorf("app_id and instance_id are both %s: they must differ", q.App)
	}
	if q.Key.IsZero() {
		return errors.New("the WireGuard public key is missing")
	}
	return nil
}

// isLabel reports whether s is an id in its only form, lower case.
func isLabel(s string) bool {
	l, ok := vm.ParseLabel(s)
	return ok && string(l.Bytes()) == s
}

// checkEvidence checks the size of the evidence and whether it is required, and computes its
// digest.
func (r *Registry) checkEvidence(q *registration) error {
	if len(q.Evidence) > MaxEvidence {
		return fmt.Errorf("%w: evidence of %d bytes, the limit is %d", ErrInvalid, len(q.Evidence), MaxEvidence)
	}
	if r.o.RequireEvidence && len(q.Evidence) == 0 {
		return ErrNoEvidence
	}
	q.digest = record.DigestOf(q.Evidence)
	return nil
}
