package registry

import (
	"context"
	"errors"

	"sallyport/internal/oneline"
	"sallyport/internal/vm"
)

// apply makes tunnel and data plane follow the record of an instance, whose lane the
// caller holds. Repeating it changes nothing. On an error the instance gets no new
// connections and stays unsettled; its next registration tries again.
func (r *Registry) apply(ctx context.Context, id vm.InstanceID) (vm.Spec, error) {
	spec, before, problem := r.table.goal(id)
	if problem != "" {
		return vm.Spec{}, oneline.Join(errors.New(problem), r.withdraw(ctx, id))
	}
	if spec.Refused != "" {
		return spec, r.shutOut(ctx, spec, before)
	}
	if err := r.setPeer(ctx, spec, before); err != nil {
		if before != (tunnel{spec.Key, spec.Addr}) {
			r.o.Publisher.Remove(id) // what is shown is no longer there
			r.table.with(id, (*entry).hide)
		}
		return vm.Spec{}, err
	}
	r.o.Publisher.Upsert(spec)
	r.table.settle(spec)
	return spec, nil
}

// setPeer removes the peer of another key before it sets the new one: the address is the same,
// and a device gives it to one peer only.
func (r *Registry) setPeer(ctx context.Context, s vm.Spec, before tunnel) error {
	if r.o.Tunnel == nil {
		r.table.peer(s.ID, tunnel{s.Key, s.Addr})
		return nil
	}
	if !before.key.IsZero() && before.key != s.Key {
		if err := r.o.Tunnel.RemovePeer(ctx, before.key); err != nil {
			return err
		}
	}
	r.table.peer(s.ID, tunnel{s.Key, s.Addr}) // before: an error may leave it set
	return r.o.Tunnel.SetPeer(ctx, s.Key, s.Addr)
}

// shutOut keeps a refused instance from all traffic. It stays published as refused, for clients
// and operators to see; its peer goes, so that not even a connection that was just being set up
// can reach it.
func (r *Registry) shutOut(ctx context.Context, s vm.Spec, before tunnel) error {
	r.o.Publisher.Upsert(s)
	r.table.with(s.ID, (*entry).publish)
	if r.o.Tunnel != nil && !before.key.IsZero() {
		if err := r.o.Tunnel.RemovePeer(ctx, before.key); err != nil {
			return err
		}
	}
	r.table.peer(s.ID, tunnel{})
	r.table.settle(s)
	return nil
}

// withdraw takes an instance from the data plane, and then from the tunnel.
func (r *Registry) withdraw(ctx context.Context, id vm.InstanceID) error {
	var set tunnel
	var shown bool
	r.table.with(id, func(e *entry) {
		e.unsettle()
		set, shown = e.set, e.shown
	})
	if shown {
		r.o.Publisher.Remove(id)
		r.table.with(id, (*entry).hide)
	}
	if r.o.Tunnel != nil && !set.key.IsZero() {
		if err := r.o.Tunnel.RemovePeer(ctx, set.key); err != nil {
			return err
		}
	}
	r.table.peer(id, tunnel{})
	return nil
}

// applyUnsettled is apply for an instance that may not be as it should be.
func (r *Registry) applyUnsettled(ctx context.Context, id vm.InstanceID) error {
	if !r.table.unsettled(id) {
		return nil
	}
	spec, err := r.apply(ctx, id)
	if err == nil {
		r.fetchIfUnknown(spec)
	}
	return err
}

// goal returns what is to be applied, and what the tunnel has before.
func (t *table) goal(id vm.InstanceID) (s vm.Spec, before tunnel, problem string) {
	problem = ErrUnknown.Error()
	t.with(id, func(e *entry) {
		if e.rev == 0 {
			return
		}
		problem = t.problemLocked(e)
		e.setProblem(problem)
		s, before = t.specLocked(e), e.set
	})
	return s, before, problem
}

// peer notes what the tunnel may have from now on, and frees the key before.
func (t *table) peer(id vm.InstanceID, now tunnel) {
	t.with(id, func(e *entry) {
		if e.set.key != now.key && e.set.key != e.record.Key {
			t.releaseLocked(e, e.set.key)
		}
		e.peer(now)
	})
}

// settle notes that s is applied. It returns the instance's node.
func (t *table) settle(s vm.Spec) (node string) {
	t.with(s.ID, func(e *entry) {
		e.settle(s, t.specLocked(e))
		node = e.record.Node
	})
	return node
}
