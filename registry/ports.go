package registry

import (
	"context"
	"errors"
	"fmt"

	"sallyport/internal/vm"
	"sallyport/registry/policy"
	"sallyport/registry/record"
	"sallyport/registry/store"
)

// SetOverride sets an operator's port policy, which replaces that of the instance; nil removes
// it. It is stored apart from the instance, and stays through registrations, new keys, new
// addresses and recycling. For an instance that is not registered SetOverride returns ErrUnknown.
func (r *Registry) SetOverride(ctx context.Context, id vm.InstanceID, override *vm.PortPolicy) error {
	leave, err := r.lanes.enter(ctx, id)
	if err != nil {
		return err
	}
	defer leave()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), applyTimeout)
	defer cancel()
	err = r.storeOverride(ctx, id, override)
	if errors.Is(err, store.ErrConflict) { // another node was faster
		if err = r.learn(ctx, id); err == nil {
			err = r.storeOverride(ctx, id, override)
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
		return fmt.Errorf("registry: the port policy of instance %s is stored, but cannot be applied before the instance registers again: %w", id, err)
	}
	r.fetchIfUnknown(spec)
	return nil
}

func (r *Registry) storeOverride(ctx context.Context, id vm.InstanceID, override *vm.PortPolicy) error {
	_, instance := r.table.stored(id)
	before := r.table.overrideRevision(id)
	t := store.Txn{If: []store.Condition{{Key: record.OverrideKey(id), Revision: before}}}
	switch {
	case override == nil && before == 0:
		return nil
	case override == nil:
		t.Then = []store.Change{{Key: record.OverrideKey(id)}}
	case instance == 0:
		return ErrUnknown
	default:
		value, err := record.EncodePolicy(*override)
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
	r.table.override(id, override, revision)
	return nil
}

// fetchIfUnknown asks the guest's agent for the policy of the compose file; until it is known, no
// port is open. An operator's policy needs no other beside it, and a refused instance cannot be
// asked.
func (r *Registry) fetchIfUnknown(s vm.Spec) {
	if s.Policy.State() == vm.PolicyUnknown && s.Refused == "" {
		r.fetcher.Want(s)
	}
}

func (r *Registry) policyOptions() policy.Options {
	o := policy.Options{Found: r.setPolicy, OpenPrivate: r.o.OpenPrivate, Max: r.o.MaxFetches, Log: r.o.Log}
	if r.o.Tunnel != nil {
		o.Dial = r.o.Tunnel.Dial
	}
	return o
}

// setPolicy stores the policy of the compose file, if the instance is still the one that was
// asked.
func (r *Registry) setPolicy(ctx context.Context, asked vm.Spec, stated vm.PortPolicy) error {
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
	c.next.Stated = stated
	if err := r.commit(ctx, c); err != nil {
		return err
	}
	_, err = r.apply(ctx, asked.ID)
	return err
}

// overrideRevision returns the revision of the override of id; 0: there is none.
func (t *table) overrideRevision(id vm.InstanceID) int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.overrides[id].rev
}
