package registry

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"sallyport/internal/oneline"
	"sallyport/internal/vm"
	"sallyport/registry/record"
	"sallyport/registry/store"
)

// maxProblems bounds how many problems of one kind are listed.
const maxProblems = 10

// load makes table, tunnel and data plane as the store and the configuration have them, before
// any traffic.
func (r *Registry) load(ctx context.Context) error {
	pairs, revision, err := r.o.Store.List(ctx, record.Prefix)
	if err != nil {
		return err
	}
	r.since = revision
	if err := r.table.restore(pairs, time.Now(), r.o.AddressRest); err != nil {
		return fmt.Errorf("the store holds what a gateway cannot have written, at revision %d (restore it from a backup, or move it aside and let the guests register again): %w", revision, err)
	}
	r.recheckAtStart(ctx)
	specs, problems := r.servable()
	if err := r.clearTunnel(ctx, specs); err != nil {
		return err
	}
	r.serve(ctx, specs, problems)
	return nil
}

// servable returns the registered instances, without those that no longer fit the configuration.
func (r *Registry) servable() (specs []vm.Spec, aside problems) {
	for _, id := range slices.Sorted(maps.Keys(r.table.instances)) {
		spec, _, problem := r.table.goal(id)
		if problem == "" {
			specs = append(specs, spec)
		} else {
			aside.add(fmt.Errorf("instance %s: %s", id, problem))
		}
	}
	return specs, aside
}

// clearTunnel leaves the tunnel with the peers of static instances, and those of an earlier
// process that are to be served: any other peer may hold the address of one of them.
func (r *Registry) clearTunnel(ctx context.Context, specs []vm.Spec) error {
	if r.o.Tunnel == nil {
		return nil
	}
	keep := make([]vm.WGKey, 0, len(r.o.Static)+len(specs))
	for _, s := range slices.Concat(r.o.Static, specs) {
		if s.Refused == "" {
			keep = append(keep, s.Key)
		}
	}
	if err := r.o.Tunnel.RemovePeersExcept(ctx, keep); err != nil {
		return fmt.Errorf("cannot remove the peers of an earlier process: %w", err)
	}
	for _, s := range r.o.Static {
		if err := r.o.Tunnel.SetPeer(ctx, s.Key, s.Addr); err != nil {
			return fmt.Errorf("cannot set the peer of static instance %s: %w", s.ID, err)
		}
	}
	return nil
}

// serve sets the peers of all, and publishes them in one snapshot instead of 10,000.
func (r *Registry) serve(ctx context.Context, specs []vm.Spec, problems problems) {
	refused := 0
	specs = slices.DeleteFunc(specs, func(s vm.Spec) bool {
		if s.Refused != "" {
			refused++
			return false
		}
		err := r.setPeer(ctx, s, tunnel{})
		if err != nil {
			problems.add(fmt.Errorf("instance %s: %w", s.ID, err))
		}
		return err != nil
	})
	r.o.Publisher.Upsert(slices.Concat(r.o.Static, specs)...)
	for _, s := range specs {
		if r.table.settle(s) == r.o.Node { // other nodes fetch for theirs
			r.fetchIfUnknown(s)
		}
	}
	if refused > 0 {
		r.o.Log.Warn("registered instances are refused: they get no traffic until they are accepted again; gateway status shows the reasons", "instances", refused)
	}
	if err := problems.err(); err != nil {
		r.o.Log.Warn("cannot serve registered instances until they register again", "instances", problems.count, "error", err)
	}
}

// restore fills the table, and finds every contradiction: a store that gives one address to two
// instances would send one app's traffic to the other.
func (t *table) restore(pairs []store.Pair, now time.Time, rest time.Duration) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	var found problems
	keys := make(map[string]vm.InstanceID) // the holder of each WireGuard key and address
	for _, p := range pairs {
		if err := t.restorePairLocked(p, keys, now, rest); err != nil {
			found.add(fmt.Errorf("%.100q: %w", p.Key, err))
		}
	}
	for id, e := range t.instances {
		for _, key := range []string{record.PeerKey(e.record.Key), record.AddrKey(e.record.Addr)} {
			if keys[key] != id {
				found.add(fmt.Errorf("instance %s has %s, which belongs to %q", id, key, string(keys[key])))
			}
			delete(keys, key)
		}
		if _, taken := t.keys[e.record.Key]; !taken {
			t.keys[e.record.Key] = id
		}
		t.pool.Claim(e.record.Addr)
	}
	for key, id := range keys {
		found.add(fmt.Errorf("%q belongs to instance %s, which does not have it", key, id))
	}
	return found.err()
}

func (t *table) restorePairLocked(p store.Pair, keys map[string]vm.InstanceID, now time.Time, rest time.Duration) error {
	if id, ok := strings.CutPrefix(p.Key, record.InstancePrefix); ok {
		rec, err := record.Decode(p.Value)
		if err == nil && !isLabel(id) {
			err = errors.New("it is not an instance id")
		}
		if err != nil {
			return err
		}
		e := t.addLocked(vm.InstanceID(id), rec.App, now)
		e.restore(rec, p.Revision)
		return nil
	}
	if id, ok := strings.CutPrefix(p.Key, record.OverridePrefix); ok {
		policy, err := record.DecodePolicy(p.Value)
		if err == nil && !isLabel(id) {
			err = errors.New("it is not an instance id")
		}
		t.overrides[vm.InstanceID(id)] = override{policy, p.Revision}
		return err
	}
	if id, ok := strings.CutPrefix(p.Key, record.AppPrefix); ok {
		if !isLabel(id) {
			return errors.New("it is not an app id")
		}
		t.names[vm.AppID(id)] = true
		return nil
	}
	if strings.HasPrefix(p.Key, record.PeerPrefix) {
		id, err := vm.ParseInstanceID(string(p.Value))
		keys[p.Key] = id
		return err
	}
	text, ok := strings.CutPrefix(p.Key, record.AddrPrefix)
	if !ok {
		return errors.New("it is not a known kind of key")
	}
	addr, err1 := record.ParseAddr(text)
	id, until, err2 := record.DecodeHolder(p.Value)
	switch err := oneline.Join(err1, err2); {
	case err != nil:
		return err
	case id != "":
		keys[p.Key] = id
	default: // at most as long as configured: the clock may have been set back since
		if limit := now.Add(rest); until.After(limit) {
			until = limit
		}
		t.pool.Rest(addr, until.Add(restSlack))
	}
	return nil
}

// problems collects errors, and keeps the first ones.
type problems struct {
	count int
	first []error
}

func (p *problems) add(err error) {
	if p.count++; p.count <= maxProblems {
		p.first = append(p.first, err)
	}
}

func (p *problems) err() error {
	if p.count > maxProblems {
		return oneline.Join(append(p.first, fmt.Errorf("and %d more", p.count-maxProblems))...)
	}
	return oneline.Join(p.first...)
}
