package registry

import (
	"context"
	"errors"
	"fmt"

	"sallyport/internal/vm"
	"sallyport/registry/record"
	"sallyport/registry/store"
)

// SetOverride puts an operator's port policy above what the instance reports; nil takes
// it away. It is stored apart from the instance: no registration, new key, new address
// or recycling loses it. Setting one for an instance that is not registered is ErrUnknown.
func (r *Registry) SetOverride(ctx context.Context, id vm.InstanceID, policy *vm.PortPolicy) error {
	leave, err := r.lanes.enter(ctx, id)
	if err != nil {
		return err
	}
	defer leave()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), applyTimeout)
	defer cancel()
	err = r.storeOverride(ctx, id, policy)
	if errors.Is(err, store.ErrConflict) { // another gateway was faster
		if err = r.learn(ctx, id); err == nil {
			err = r.storeOverride(ctx, id, policy)
		}
	}
	if err != nil {
		return fmt.Errorf("registry: port policy of instance %s: %w", id, err)
	}
	if !r.table.unsettled(id) {
		return nil
	}
	spec, err := r.apply(ctx, id)
	if err != nil {
		return fmt.Errorf("registry: port policy of instance %s is stored, but not in force before it registers again: %w", id, err)
	}
	r.fetchIfUnknown(spec)
	return nil
}

func (r *Registry) storeOverride(ctx context.Context, id vm.InstanceID, policy *vm.PortPolicy) error {
	_, instance := r.table.stored(id)
	before := r.table.overrideRevision(id)
	t := store.Txn{If: []store.Condition{{Key: record.OverrideKey(id), Revision: before}}}
	switch {
	case policy == nil && before == 0:
		return nil
	case policy == nil:
		t.Then = []store.Change{{Key: record.OverrideKey(id)}}
	case instance == 0:
		return ErrUnknown
	default:
		value, err := record.EncodePolicy(*policy)
		if err != nil {
			return err
		}
		t.If = append(t.If, store.Condition{Key: record.InstanceKey(id), Revision: instance})
		t.Then = []store.Change{{Key: record.OverrideKey(id), Value: value}}
	}
	revision, err := r.o.Store.Commit(ctx, t)
	if err != nil {
		return err
	}
	r.table.override(id, policy, revision)
	return nil
}

// setPolicy notes what was fetched, if it is still what was asked for.
func (r *Registry) setPolicy(ctx context.Context, asked vm.Spec, policy vm.PortPolicy) error {
	leave, err := r.lanes.enter(ctx, asked.ID)
	if err != nil {
		return err
	}
	defer leave()
	rec, rev := r.table.stored(asked.ID)
	if rev == 0 || rec.Stated.State() != vm.PolicyUnknown || rec.Compose != asked.Compose ||
		rec.Key != asked.Key || rec.Addr != asked.Addr {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), applyTimeout)
	defer cancel()
	c := change{id: asked.ID, old: rec, next: rec, rev: rev}
	c.next.Stated = policy
	if err := r.commit(ctx, c); err != nil {
		return err
	}
	_, err = r.apply(ctx, asked.ID)
	return err
}

func (t *table) overrideRevision(id vm.InstanceID) int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.overrides[id].rev
}
