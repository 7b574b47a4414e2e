package registry

import (
	"fmt"
	"time"

	"sallyport/internal/vm"
)

// change is an instance's next record, on its way to the store. Key and address of
// it are claimed in the table until install or abandon.
type change struct {
	id   vm.InstanceID
	old  record // zero if it is new
	next record
	rev  int64 // of old in the store, 0 if it is new; then of next

	evidence []byte // to be stored with it; nil: what is there stays
	judged   bool   // next.Refused is a verdict on its evidence,
	asOf     uint64 // in answer to this demand
	admitted bool   // it is a registration: its authority holds
}

// allocate claims what q needs: its key, and the address that the instance has, or a
// free one. A refusal claims nothing.
func (t *table) allocate(q Request, node string, now time.Time) (change, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.instances[q.Instance]
	if err := t.refusalLocked(e, q); err != nil {
		return change{}, err
	}
	if err := t.shareLocked(e, q.App, now); err != nil {
		return change{}, err
	}
	next := record{App: q.App, Key: q.Key, Compose: q.Compose, Node: node, Facts: q.facts, Root: q.Proof.Root, Until: untilLocked(e, q, now)}
	switch {
	case q.Policy != nil:
		next.Policy = *q.Policy
	case e != nil && e.record.Compose == q.Compose:
		next.Policy = e.record.Policy
	default: // unknown: it would be of another compose file
	}
	if e != nil && e.record.Compose == q.Compose {
		next.Stated = e.record.Stated
	}
	c := change{id: q.Instance, judged: q.judged, asOf: q.asOf, admitted: true}
	switch {
	case q.judged:
		next.Evidence, c.evidence = q.digest, q.Evidence
	case e != nil:
		next.Evidence, next.Refused, next.Undecided = e.record.Evidence, e.record.Refused, e.record.Undecided
	}
	if e != nil && e.rev > 0 && t.pool.usable(e.record.Addr) {
		next.Addr = e.record.Addr
	} else {
		var ok bool
		if next.Addr, ok = t.pool.take(now); !ok {
			return change{}, ErrExhausted
		}
	}
	if e == nil {
		e = t.addLocked(q.Instance, q.App, now)
	}
	e.settled = false // until it is applied
	e.seen, e.ask = now, now.Add(t.askEvery)
	t.keys[q.Key] = q.Instance
	c.old, c.next, c.rev = e.record, next, e.rev
	return c, nil
}

// refusalLocked holds that names and keys have one holder.
func (t *table) refusalLocked(e *entry, q Request) error {
	if t.static[q.Instance] {
		return ErrStatic
	}
	if e != nil && e.app != q.App {
		return ErrOtherApp
	}
	if e != nil && e.revocations != q.revocations {
		return fmt.Errorf("%w: it was taken back meanwhile", ErrAuthorizer)
	}
	if e == nil && t.nameTakenLocked(q.Instance) || t.static[vm.InstanceID(q.App)] {
		return ErrName
	}
	if holder, taken := t.keys[q.Key]; taken && holder != q.Instance {
		return ErrKeyTaken
	}
	if t.missesEvidenceLocked(e, q) {
		return ErrNoEvidence
	}
	return nil
}

// abandon gives back what a change that was not stored has claimed.
func (t *table) abandon(c change) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if c.next.Addr != c.old.Addr {
		t.pool.free(c.next.Addr)
	}
	e := t.instances[c.id]
	if e == nil {
		return
	}
	if e.rev == 0 {
		t.releaseLocked(e, c.next.Key)
		t.dropLocked(e)
	} else if c.next.Key != e.record.Key && c.next.Key != e.set.key {
		t.releaseLocked(e, c.next.Key)
	}
}

// install makes a stored change the instance's record. Its old key stays claimed until
// the tunnel has let go of it (apply); its old address rests.
func (t *table) install(c change, until time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.instances[c.id]
	if c.old.Addr.IsValid() && c.old.Addr != c.next.Addr {
		t.pool.rest(c.old.Addr, until)
	}
	if c.old.Key != c.next.Key && c.old.Key != e.set.key {
		t.releaseLocked(e, c.old.Key)
	}
	e.record, e.rev = c.next, c.rev
	e.problem = ""
	if c.admitted && e.revoked != "" {
		e.revoked, e.settled = "", false
	}
	switch {
	case c.judged:
		t.judgedLocked(e, c.next.Refused, c.asOf)
	case c.next.Evidence != digest{} && e.next.IsZero(): // accepted by another gateway, not by this one
		t.wakeLocked()
	}
}
