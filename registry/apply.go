package registry

import (
	"context"
	"errors"

	"sallyport/internal/vm"
)

// apply makes tunnel and data plane follow the record of an instance, whose lane the
// caller holds. Repeating it changes nothing. On an error the instance gets no new
// connections, and stays unsettled: its next registration tries again.
func (r *Registry) apply(ctx context.Context, id vm.InstanceID) (vm.Spec, error) {
	spec, before, problem := r.table.goal(id)
	if problem != "" {
		return vm.Spec{}, errors.Join(errors.New(problem), r.withdraw(ctx, id))
	}
	if spec.Refused != "" {
		return spec, r.shutOut(ctx, spec, before)
	}
	if err := r.setPeer(ctx, spec, before); err != nil {
		if before != (tunnel{spec.Key, spec.Addr}) {
			r.o.Publisher.Remove(id) // what is shown is no longer there
			r.table.show(id, false)
		}
		return vm.Spec{}, err
	}
	r.o.Publisher.Upsert(spec)
	r.table.settle(spec)
	return spec, nil
}

// setPeer lets go of another key before it takes the new one: the address is the same,
// and a device has one holder for it.
func (r *Registry) setPeer(ctx context.Context, s vm.Spec, before tunnel) error {
	if r.o.Tunnel == nil {
		r.table.setting(s.ID, tunnel{s.Key, s.Addr})
		return nil
	}
	if !before.key.IsZero() && before.key != s.Key {
		if err := r.o.Tunnel.RemovePeer(ctx, before.key); err != nil {
			return err
		}
	}
	r.table.setting(s.ID, tunnel{s.Key, s.Addr}) // first: an error may leave it set
	return r.o.Tunnel.SetPeer(ctx, s.Key, s.Addr)
}

// shutOut keeps a refused instance from all traffic. It stays published as refused, so that
// clients and operators are told; its peer goes, so that not even a connection that was
// just being set up can reach it.
func (r *Registry) shutOut(ctx context.Context, s vm.Spec, before tunnel) error {
	r.o.Publisher.Upsert(s)
	r.table.show(s.ID, true)
	if r.o.Tunnel != nil && !before.key.IsZero() {
		if err := r.o.Tunnel.RemovePeer(ctx, before.key); err != nil {
			return err
		}
	}
	r.table.setting(s.ID, tunnel{})
	r.table.settle(s)
	return nil
}

// withdraw takes an instance from the data plane, and then from the tunnel.
func (r *Registry) withdraw(ctx context.Context, id vm.InstanceID) error {
	set, shown := r.table.unsettle(id)
	if shown {
		r.o.Publisher.Remove(id)
		r.table.show(id, false)
	}
	if r.o.Tunnel != nil && !set.key.IsZero() {
		if err := r.o.Tunnel.RemovePeer(ctx, set.key); err != nil {
			return err
		}
	}
	r.table.setting(id, tunnel{})
	return nil
}

// goal tells what is to be applied, and what the tunnel has before.
func (t *table) goal(id vm.InstanceID) (s vm.Spec, before tunnel, problem string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.instances[id]
	if e == nil || e.rev == 0 {
		return vm.Spec{}, tunnel{}, ErrUnknown.Error()
	}
	e.problem = t.problemLocked(e)
	return t.specLocked(e), e.set, e.problem
}

// setting notes what the tunnel has from now on, and gives up the key before.
func (t *table) setting(id vm.InstanceID, now tunnel) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.instances[id]
	if e == nil {
		return
	}
	if e.set.key != now.key && e.set.key != e.record.Key {
		t.releaseLocked(e, e.set.key)
	}
	e.set = now
}

// settle notes that all is as s says, if that is still what is wanted. It tells the
// instance's node.
func (t *table) settle(s vm.Spec) (node string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.instances[s.ID]
	if e == nil {
		return ""
	}
	e.shown = true
	e.settled = t.specLocked(e) == s
	return e.record.Node
}

func (t *table) unsettle(id vm.InstanceID) (set tunnel, shown bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.instances[id]
	if e == nil {
		return tunnel{}, false
	}
	e.settled = false
	return e.set, e.shown
}

func (t *table) show(id vm.InstanceID, shown bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if e := t.instances[id]; e != nil {
		e.shown = shown
	}
}
