package registry

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"strings"
	"time"

	"sallyport/internal/vm"
	"sallyport/registry/record"
	"sallyport/registry/store"
)

// Several nodes may share the store: this node serves what another one registers. An event says
// which instance has changed. The record is then read from the store, because the event may be
// older than what this node has done since.

// storePause is the pause after the store has failed.
const storePause = time.Second

// follow watches the store until ctx ends.
func (r *Registry) follow(ctx context.Context) error {
	after, reported := r.since, false
	for ctx.Err() == nil {
		err := r.watch(ctx, &after)
		if errors.Is(err, store.ErrCompacted) {
			after, err = r.resync(ctx)
		}
		if err != nil && !reported {
			r.o.Log.Error("cannot watch the store: registrations of other nodes do not arrive until it works again; routing continues", "error", err)
		}
		reported = err != nil
		pause(ctx, storePause) // whatever has ended the watch must not make this loop spin
	}
	return nil
}

// watch follows every changed instance, and moves after to the last event.
func (r *Registry) watch(ctx context.Context, after *int64) error {
	for e, err := range r.o.Store.Watch(ctx, *after) {
		if err != nil {
			return err
		}
		if id, ok := instanceOf(e.Key); ok && !r.table.knows(id, e) {
			if err := r.sync(ctx, id); err != nil {
				r.o.Log.Warn("cannot apply the change of an instance by another node; its next registration tries again", "instance", string(id), "error", err)
			}
		}
		*after = e.Revision
	}
	return nil
}

// resync follows every instance that is in the table or in the store.
func (r *Registry) resync(ctx context.Context) (revision int64, err error) {
	pairs, revision, err := r.o.Store.List(ctx, record.Prefix)
	if err != nil {
		return r.since, err
	}
	ids := r.table.ids()
	for _, p := range pairs {
		if id, ok := instanceOf(p.Key); ok {
			ids[id] = true
		}
	}
	var problems problems
	for id := range maps.Keys(ids) {
		if err := r.sync(ctx, id); err != nil {
			problems.add(fmt.Errorf("instance %s: %w", id, err))
		}
	}
	if err := problems.err(); err != nil {
		r.o.Log.Warn("cannot apply changes of instances by other nodes; their next registrations try again", "instances", problems.count, "error", err)
	}
	return revision, nil
}

// sync makes one instance as the store has it.
func (r *Registry) sync(ctx context.Context, id vm.InstanceID) error {
	leave, err := r.lanes.enter(ctx, id)
	if err != nil {
		return err
	}
	defer leave()
	ctx, cancel := context.WithTimeout(ctx, applyTimeout)
	defer cancel()
	return r.catchUp(ctx, id)
}

// catchUp is sync for the holder of the instance's lane.
func (r *Registry) catchUp(ctx context.Context, id vm.InstanceID) error {
	if err := r.learn(ctx, id); err != nil {
		return err
	}
	if !r.table.unsettled(id) {
		return nil
	}
	_, err := r.apply(ctx, id)
	return err
}

// learn reads the record and the override of an instance, whose lane the caller holds. An
// instance that is gone is taken out of service.
func (r *Registry) learn(ctx context.Context, id vm.InstanceID) error {
	if err := r.learnOverride(ctx, id); err != nil {
		return err
	}
	p, ok, err := r.o.Store.Get(ctx, record.InstanceKey(id))
	if err != nil {
		return err
	}
	if ok {
		rec, err := record.Decode(p.Value)
		if err != nil {
			return fmt.Errorf("cannot read %s of the store: %w", p.Key, err)
		}
		if !r.table.otherApp(id, rec.App) {
			r.table.adopt(id, rec, p.Revision, time.Now().Add(r.o.AddressRest))
			return nil
		}
	}
	if err := r.withdraw(ctx, id); err != nil {
		return err
	}
	r.table.forget(id, time.Now().Add(r.o.AddressRest+restSlack))
	if ok { // removed, and registered again by another app
		return r.learn(ctx, id)
	}
	return nil
}

func (r *Registry) learnOverride(ctx context.Context, id vm.InstanceID) error {
	p, ok, err := r.o.Store.Get(ctx, record.OverrideKey(id))
	if err != nil {
		return err
	}
	if !ok {
		r.table.override(id, nil, 0)
		return nil
	}
	policy, err := record.DecodePolicy(p.Value)
	if err != nil {
		return fmt.Errorf("cannot read %s of the store: %w", p.Key, err)
	}
	r.table.override(id, &policy, p.Revision)
	return nil
}

// adopt makes what another node has stored the record of an instance. Its old address rests until
// then.
func (t *table) adopt(id vm.InstanceID, rec record.Record, rev int64, until time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.instances[id]
	if e == nil {
		e = t.addLocked(id, rec.App, time.Now())
	}
	if e.rev == rev {
		return
	}
	if e.record.Key != rec.Key && e.record.Key != e.set.key {
		t.releaseLocked(e, e.record.Key)
	}
	if old := e.record.Addr; old.IsValid() && old != rec.Addr {
		t.pool.Rest(old, until)
	}
	if holder, taken := t.keys[rec.Key]; !taken || (holder != "" && !t.static[holder]) { // not the gateway's own key
		t.keys[rec.Key] = id
	}
	t.pool.Claim(rec.Addr)
	if e.adopt(rec, rev) {
		t.wakeLocked()
	}
}

// override sets an operator's policy as it is stored; nil: there is none.
func (t *table) override(id vm.InstanceID, policy *vm.PortPolicy, rev int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	before, had := t.overrides[id]
	if policy == nil {
		delete(t.overrides, id)
	} else {
		t.overrides[id] = override{*policy, rev}
	}
	if e := t.instances[id]; e != nil && (had != (policy != nil) || had && before.rev != rev) {
		e.unsettle()
	}
}

// occupied notes that an address of the pool belongs to another node's instance, or rests.
func (t *table) occupied(a netip.Addr, holder vm.InstanceID, until time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if holder != "" {
		t.pool.Claim(a)
	} else {
		t.pool.Rest(a, until.Add(restSlack))
	}
}

// knows reports whether the table has what an event says: most are this node's own.
func (t *table) knows(id vm.InstanceID, ev store.Event) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if strings.HasPrefix(ev.Key, record.OverridePrefix) {
		o, ok := t.overrides[id]
		return ok == (ev.Value != nil) && (!ok || o.rev == ev.Revision)
	}
	e := t.instances[id]
	if ev.Value == nil {
		return e == nil
	}
	return e != nil && e.rev == ev.Revision
}

// instanceOf returns the instance whose record or override a key is.
func instanceOf(key string) (vm.InstanceID, bool) {
	id, ok := strings.CutPrefix(key, record.InstancePrefix)
	if !ok {
		id, ok = strings.CutPrefix(key, record.OverridePrefix)
	}
	return vm.InstanceID(id), ok && isLabel(id)
}

// pause waits for d, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
