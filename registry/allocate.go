package registry

import (
	"fmt"
	"net/netip"
	"time"

	"sallyport/internal/vm"
	"sallyport/registry/record"
)

// change is the next record of an instance, on its way to the store. The table keeps its key
// and address claimed until install or abandon.
type change struct {
	id   vm.InstanceID
	old  record.Record // zero: the instance is new
	next record.Record
	rev  int64 // of old in the store, 0: the instance is new; later of next

	evidence  []byte // stored with it; nil: the stored evidence stays
	appraised bool   // next.Refused is a verdict on the evidence,
	asOf      uint64 // and answers this demand
	admitted  bool   // a registration, whose authority holds
}

// allocate claims what q needs: its key, and the address that the instance has, or a
// free one. On an error nothing is claimed.
func (t *table) allocate(q *registration, now time.Time) (change, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.instances[q.Instance]
	if err := t.refusalLocked(e, q); err != nil {
		return change{}, err
	}
	if err := t.shareLocked(e, q.App, now); err != nil {
		return change{}, err
	}
	addr, err := t.addressLocked(e, now)
	if err != nil {
		return change{}, err
	}
	if e == nil {
		e = t.addLocked(q.Instance, q.App, now)
	}
	e.claim(now, now.Add(t.o.AuthorizeInterval))
	t.keys[q.Key] = q.Instance
	return newChange(e, q, t.o.Node, addr, now), nil
}

// addressLocked returns the address of e, or takes a free one.
func (t *table) addressLocked(e *entry, now time.Time) (netip.Addr, error) {
	if e != nil && e.rev > 0 && t.pool.Usable(e.record.Addr) {
		return e.record.Addr, nil
	}
	addr, ok := t.pool.Take(now)
	if !ok {
		return netip.Addr{}, ErrExhausted
	}
	return addr, nil
}

// newChange returns the record that q makes of e's.
func newChange(e *entry, q *registration, node string, addr netip.Addr, now time.Time) change {
	c := change{id: q.Instance, old: e.record, rev: e.rev, appraised: q.appraised, asOf: q.asOf, admitted: true}
	c.next = record.Record{
		App: q.App, Key: q.Key, Addr: addr, Compose: q.Compose, Node: node,
		Facts: q.facts, Root: q.Proof.Root, Until: storedUntil(e, q, now),
		Evidence: c.old.Evidence, Refused: c.old.Refused, Undecided: c.old.Undecided,
	}
	if c.old.Compose == q.Compose { // else the policies are of another compose file
		c.next.Policy, c.next.Stated = c.old.Policy, c.old.Stated
	}
	if q.Policy != nil {
		c.next.Policy = *q.Policy
	}
	if q.appraised {
		c.next.Evidence, c.next.Refused, c.next.Undecided, c.evidence = q.digest, "", 0, q.Evidence
	}
	return c
}

// refusalLocked refuses a registration whose names or key belong to another instance or app.
func (t *table) refusalLocked(e *entry, q *registration) error {
	if t.static[q.Instance] {
		return ErrStatic
	}
	if e != nil && e.app != q.App {
		return ErrOtherApp
	}
	if e != nil && e.revocations != q.revocations {
		return fmt.Errorf("%w: the authorization was withdrawn during this registration", ErrAuthorizer)
	}
	if e == nil && t.nameTakenLocked(q.Instance) || t.static[vm.InstanceID(q.App)] {
		return ErrName
	}
	if holder, taken := t.keys[q.Key]; taken && holder != q.Instance {
		return ErrKeyTaken
	}
	if e != nil && e.lacksEvidence(q, t.o.RequireEvidence) {
		return ErrNoEvidence
	}
	return nil
}
