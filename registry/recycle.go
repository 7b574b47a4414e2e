package registry

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sallyport/internal/vm"
	"sallyport/registry/store"
)

const (
	maxSweepInterval = 5 * time.Minute
	handshakeTimeout = 10 * time.Second
)

// recycle sweeps at intervals, until ctx ends.
func (r *Registry) recycle(ctx context.Context) error {
	every := time.NewTicker(max(min(r.o.RecycleAfter/10, maxSweepInterval), time.Millisecond))
	defer every.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-every.C:
			if err := r.sweep(ctx); err != nil && ctx.Err() == nil {
				r.o.Log.Warn("cannot remove instances that neither register nor complete handshakes; the next sweep tries again", "error", err)
			}
		}
	}
}

// sweep removes the instances of this node that have neither registered nor completed a
// handshake for too long. If it cannot read the handshakes it removes none.
func (r *Registry) sweep(ctx context.Context) error {
	handshakes := map[vm.WGKey]time.Time{}
	if r.o.Handshakes != nil {
		ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
		defer cancel()
		var err error
		if handshakes, err = r.o.Handshakes(ctx); err != nil {
			return fmt.Errorf("cannot read the last handshakes: %w", err)
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

// remove undoes the steps of a registration in reverse: the data plane, the tunnel, the store, the
// address. A crash in between leaves an instance that is stored, and is removed later.
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
	if errors.Is(err, store.ErrConflict) { // it has registered with another node, or another node has removed it
		return r.catchUp(ctx, id)
	}
	if err != nil {
		return err
	}
	r.table.forget(id, time.Now().Add(r.o.AddressRest+restSlack))
	r.metrics.recycled.Inc()
	r.o.Log.Info("instance removed: no registration and no handshake for too long", "instance", string(id), "app", string(rec.App), "address", rec.Addr.String())
	return nil
}

// silent lists the instances of this node whose last registration and handshake were before.
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
	return e.rev > 0 && e.record.Node == t.o.Node && e.seen.Before(before) && handshakes[e.record.Key].Before(before)
}
