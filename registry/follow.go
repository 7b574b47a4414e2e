package registry

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"sallyport/internal/vm"
	"sallyport/registry/store"
)

// The store may be shared: what other gateways register there is served here too. An
// event says which instance to look at; what holds is then read from the store,
// because an event may be older than what this gateway has done since.

// storePause is how long a failing store is left alone.
const storePause = time.Second

// follow watches the store until ctx ends.
func (r *Registry) follow(ctx context.Context) error {
	after, told := r.since, false
	for ctx.Err() == nil {
		err := r.watch(ctx, &after)
		if errors.Is(err, store.ErrCompacted) {
			after, err = r.resync(ctx)
		}
		if err != nil && !told {
			r.o.Log.Error("the store cannot be watched: what other gateways register is not seen until it is back; routing goes on", "error", err)
		}
		told = err != nil
		pause(ctx, storePause) // whatever ended the watch must not make this loop spin
	}
	return nil
}

// watch looks at every changed instance, and moves after on.
func (r *Registry) watch(ctx context.Context, after *int64) error {
	for e, err := range r.o.Store.Watch(ctx, *after) {
		if err != nil {
			return err
		}
		if id, ok := instanceOf(e.Key); ok && !r.table.knows(id, e) {
			if err := r.sync(ctx, id); err != nil {
				r.o.Log.Warn("an instance that another gateway changed is not served as it should be", "instance", string(id), "error", err)
			}
		}
		*after = e.Revision
	}
	return nil
}

// resync looks at every instance that is here or in the store.
func (r *Registry) resync(ctx context.Context) (revision int64, err error) {
	pairs, revision, err := r.o.Store.List(ctx, storePrefix)
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
		r.o.Log.Warn("instances are not served as they should be", "instances", problems.count, "error", err)
	}
	return revision, nil
}

// sync makes one instance what the store says.
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

// learn reads record and override of an instance, whose lane the caller holds. One
// that is gone is taken out of service.
func (r *Registry) learn(ctx context.Context, id vm.InstanceID) error {
	if err := r.learnOverride(ctx, id); err != nil {
		return err
	}
	p, ok, err := r.o.Store.Get(ctx, instanceKey(id))
	if err != nil {
		return err
	}
	if ok {
		rec, err := decodeRecord(p.Value)
		if err != nil {
			return fmt.Errorf("%s in the store: %w", p.Key, err)
		}
		if !r.table.otherApp(id, rec.App) {
			r.table.adopt(id, rec, p.Revision, time.Now().Add(r.o.AddressRest))
			return nil
		}
	}
	if err := r.withdraw(ctx, id); err != nil {
		return err
	}
	r.table.remove(id, time.Now().Add(r.o.AddressRest+restSlack))
	if ok { // gone, and back as another app's
		return r.learn(ctx, id)
	}
	return nil
}

func (r *Registry) learnOverride(ctx context.Context, id vm.InstanceID) error {
	p, ok, err := r.o.Store.Get(ctx, overrideKey(id))
	if err != nil {
		return err
	}
	if !ok {
		r.table.override(id, nil, 0)
		return nil
	}
	policy, err := decodePolicy(p.Value)
	if err != nil {
		return fmt.Errorf("%s in the store: %w", p.Key, err)
	}
	r.table.override(id, &policy, p.Revision)
	return nil
}

// refresh looks at what stood in the way of c.
func (r *Registry) refresh(ctx context.Context, c change) error {
	if err := r.learn(ctx, c.id); err != nil {
		return err
	}
	p, ok, err := r.o.Store.Get(ctx, wgKeyKey(c.next.Key))
	if err != nil {
		return err
	}
	if ok && string(p.Value) != string(c.id) {
		return ErrKeyTaken
	}
	p, ok, err = r.o.Store.Get(ctx, addrKey(c.next.Addr))
	if err != nil || !ok {
		return err
	}
	id, until, err := decodeHolder(p.Value)
	if err == nil && id != c.id {
		r.table.occupied(c.next.Addr, id, until)
	}
	return err
}

// instanceOf tells whose record or override a key is.
func instanceOf(key string) (vm.InstanceID, bool) {
	id, ok := strings.CutPrefix(key, instancePrefix)
	if !ok {
		id, ok = strings.CutPrefix(key, overridePrefix)
	}
	return vm.InstanceID(id), ok && isLabel(id)
}

// pause waits, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
