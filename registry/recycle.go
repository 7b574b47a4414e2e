package registry

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"sallyport/internal/vm"
	"sallyport/registry/store"
)

const (
	maxSweepInterval = 5 * time.Minute
	handshakeTimeout = 10 * time.Second
)

// Run recycles instances, judges their evidence again, takes back what
// let them in, fetches policies, and follows other
// gateways, until ctx ends.
// It waits for all that it has started, and returns nil.
func (r *Registry) Run(ctx context.Context) error {
	var parts errgroup.Group
	parts.Go(func() error { return r.follow(ctx) })
	parts.Go(func() error { return r.fetcher.Run(ctx) })
	parts.Go(func() error { return r.recycle(ctx) })
	parts.Go(func() error { return r.reattest(ctx) })
	parts.Go(func() error { return r.supervise(ctx) })
	return parts.Wait()
}

// recycle sweeps again and again.
func (r *Registry) recycle(ctx context.Context) error {
	every := time.NewTicker(max(min(r.o.RecycleAfter/10, maxSweepInterval), time.Millisecond))
	defer every.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-every.C:
			if err := r.sweep(ctx); err != nil && ctx.Err() == nil {
				r.o.Log.Warn("instances that are long gone could not be removed; the next sweep tries again", "error", err)
			}
		}
	}
}

// sweep removes the instances of this gateway that have neither registered nor shaken
// hands for too long. Without handshakes to look at it removes nobody.
func (r *Registry) sweep(ctx context.Context) error {
	handshakes := map[vm.WGKey]time.Time{}
	if r.o.Handshakes != nil {
		ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
		defer cancel()
		var err error
		if handshakes, err = r.o.Handshakes(ctx); err != nil {
			return fmt.Errorf("handshakes: %w", err)
		}
	}
	var problems problems
	for _, id := range r.table.silent(handshakes, time.Now().Add(-r.o.RecycleAfter)) {
		if err := r.remove(ctx, id, handshakes); err != nil {
			problems.add(fmt.Errorf("instance %s: %w", id, err))
		}
	}
	return problems.err()
}

// remove goes a registration's way back: the data plane, the tunnel, the store, the
// address. A crash in between leaves an instance that is stored, to be removed again.
func (r *Registry) remove(ctx context.Context, id vm.InstanceID, handshakes map[vm.WGKey]time.Time) error {
	leave, err := r.lanes.enter(ctx, id)
	if err != nil {
		return err
	}
	defer leave()
	if !r.table.condemn(id, handshakes, time.Now().Add(-r.o.RecycleAfter)) {
		return nil // it registered meanwhile
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), applyTimeout)
	defer cancel()
	if err := r.withdraw(ctx, id); err != nil {
		return err
	}
	rec, rev := r.table.stored(id)
	_, err = r.o.Store.Commit(ctx, removal(id, rec, rev, r.o.AddressRest))
	if errors.Is(err, store.ErrConflict) { // it has registered with another gateway, or is gone
		return r.catchUp(ctx, id)
	}
	if err != nil {
		return err
	}
	r.table.forget(id, time.Now().Add(r.o.AddressRest+restSlack))
	r.metrics.recycled.Inc()
	r.o.Log.Info("instance removed: it has been silent for too long", "instance", string(id), "app", string(rec.App), "address", rec.Addr.String())
	return nil
}

// silent lists the instances of this node whose last sign of life was before.
func (t *table) silent(handshakes map[vm.WGKey]time.Time, before time.Time) []vm.InstanceID {
	t.mu.Lock()
	defer t.mu.Unlock()
	var ids []vm.InstanceID
	for id, e := range t.instances {
		if t.silentLocked(e, handshakes, before) {
			ids = append(ids, id)
		}
	}
	return ids
}

// condemn unsettles an instance that is to be removed, so that its next registration waits for
// the lane. It reports false if the instance has registered meanwhile.
func (t *table) condemn(id vm.InstanceID, handshakes map[vm.WGKey]time.Time, before time.Time) (yes bool) {
	t.with(id, func(e *entry) {
		if yes = t.silentLocked(e, handshakes, before); yes {
			e.unsettle()
		}
	})
	return yes
}

func (t *table) silentLocked(e *entry, handshakes map[vm.WGKey]time.Time, before time.Time) bool {
	return e.rev > 0 && e.record.Node == t.node && e.seen.Before(before) && handshakes[e.record.Key].Before(before)
}
