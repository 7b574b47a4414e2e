package registry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"sallyport/internal/vm"
	"sallyport/registry/record"
	"sallyport/registry/store"
)

// restSlack is how much longer an address rests in memory than in the store, so that the mark
// in the store has ended when the pool hands the address out.
const restSlack = time.Second

// maxTries bounds how often a change is tried that is in conflict with another node's.
const maxTries = 5

// store allocates and stores. After a conflict with another node it learns what that has
// stored, and tries again.
func (r *Registry) store(ctx context.Context, q *registration) error {
	err := store.ErrConflict
	for try := 0; try < maxTries && errors.Is(err, store.ErrConflict); try++ {
		var c change
		if c, err = r.table.allocate(q, time.Now()); err != nil {
			return err
		}
		err = r.commit(ctx, c)
	}
	if err == nil || errors.Is(err, ErrKeyTaken) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrStore, err)
}

// commit stores c and installs it in the table, or abandons it. After a conflict the table knows
// the cause.
func (r *Registry) commit(ctx context.Context, c change) error {
	t, err := c.transaction(r.o.AddressRest)
	if err == nil && len(t.Then) > 0 {
		c.rev, err = r.o.Store.Commit(ctx, t)
	}
	if err == nil {
		r.table.install(c, time.Now().Add(r.o.AddressRest+restSlack))
		return nil
	}
	r.table.abandon(c)
	if errors.Is(err, store.ErrConflict) {
		if err := r.refresh(ctx, c); err != nil {
			return err
		}
	}
	return err
}

// refresh learns from the store why c was in conflict with it.
func (r *Registry) refresh(ctx context.Context, c change) error {
	if err := r.learn(ctx, c.id); err != nil {
		return err
	}
	p, ok, err := r.o.Store.Get(ctx, record.PeerKey(c.next.Key))
	if err != nil {
		return err
	}
	if ok && string(p.Value) != string(c.id) {
		return ErrKeyTaken
	}
	p, ok, err = r.o.Store.Get(ctx, record.AddrKey(c.next.Addr))
	if err != nil || !ok {
		return err
	}
	id, until, err := record.DecodeHolder(p.Value)
	if err == nil && id != c.id {
		r.table.occupied(c.next.Addr, id, until)
	}
	return err
}

// abandon frees what a change that was not stored has claimed.
func (t *table) abandon(c change) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if c.next.Addr != c.old.Addr {
		t.pool.Free(c.next.Addr)
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

// install makes a stored change the record of its instance. The old key stays claimed until the
// tunnel has no such peer (apply); the old address rests until then.
func (t *table) install(c change, until time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.instances[c.id]
	if c.old.Addr.IsValid() && c.old.Addr != c.next.Addr {
		t.pool.Rest(c.old.Addr, until)
	}
	if c.old.Key != c.next.Key && c.old.Key != e.set.key {
		t.releaseLocked(e, c.old.Key)
	}
	e.install(c.next, c.rev, c.admitted)
	switch {
	case c.appraised:
		now := time.Now()
		e.rule(c.next.Refused, now, t.nextLocked(c.asOf, now.Add(cmp.Or(t.o.ReattestInterval, never))))
	case c.next.Evidence != record.Digest{} && e.next.IsZero(): // another node has accepted it, not this one
		t.wakeLocked()
	}
}

// transaction returns the change as the store takes it. Its conditions make key, address and
// instance unique among all nodes that share the store. It is empty if nothing changes.
func (c change) transaction(rest time.Duration) (store.Txn, error) {
	if c.rev > 0 && c.old == c.next && c.evidence == nil {
		return store.Txn{}, nil
	}
	value, err := record.Encode(c.next)
	if err != nil {
		return store.Txn{}, err
	}
	t := store.Txn{
		If:   []store.Condition{{Key: record.InstanceKey(c.id), Revision: c.rev}},
		Then: []store.Change{{Key: record.InstanceKey(c.id), Value: value}},
	}
	if c.evidence != nil {
		t.Then = append(t.Then, store.Change{Key: record.EvidenceKey(c.id), Value: c.evidence})
	}
	holder := []byte(c.id)
	if c.old.Key != c.next.Key {
		t.If = append(t.If, store.Condition{Key: record.PeerKey(c.next.Key)})
		t.Then = append(t.Then, store.Change{Key: record.PeerKey(c.next.Key), Value: holder})
		if c.rev > 0 {
			t.Then = append(t.Then, store.Change{Key: record.PeerKey(c.old.Key)})
		}
	}
	if c.old.Addr != c.next.Addr {
		t.If = append(t.If, store.Condition{Key: record.AddrKey(c.next.Addr)})
		t.Then = append(t.Then, store.Change{Key: record.AddrKey(c.next.Addr), Value: holder})
		if c.rev > 0 {
			t.Then = append(t.Then, tombstone(c.old, rest))
		}
	}
	return t, nil
}

// removal returns what deletes an instance with its evidence, marks its address as resting, and
// the name of its app as taken.
func removal(id vm.InstanceID, r record.Record, rev int64, rest time.Duration) store.Txn {
	t := store.Txn{
		If:   []store.Condition{{Key: record.InstanceKey(id), Revision: rev}},
		Then: []store.Change{{Key: record.InstanceKey(id)}, {Key: record.PeerKey(r.Key)}, tombstone(r, rest)},
	}
	if r.Evidence != (record.Digest{}) {
		t.Then = append(t.Then, store.Change{Key: record.EvidenceKey(id)})
	}
	t.Then = append(t.Then, store.Change{Key: record.AppKey(r.App), Value: []byte{'1'}})
	return t
}

// tombstone marks the address of r as resting.
func tombstone(r record.Record, rest time.Duration) store.Change {
	return store.Change{Key: record.AddrKey(r.Addr), Value: record.EncodeResting(time.Now().Add(rest)), TTL: rest}
}
