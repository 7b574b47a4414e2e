package registry

import (
	"net/netip"
	"strings"
	"time"

	"sallyport/internal/vm"
	"sallyport/registry/store"
)

// adopt makes what another gateway has stored the instance's record.
func (t *table) adopt(id vm.InstanceID, rec record, rev int64, until time.Time) {
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
		t.pool.rest(old, until)
	}
	if holder, taken := t.keys[rec.Key]; !taken || (holder != "" && !t.static[holder]) { // not the gateway's own
		t.keys[rec.Key] = id
	}
	t.pool.claim(rec.Addr)
	if e.record.Evidence != rec.Evidence {
		e.appraisal = appraisal{}
		t.wakeLocked()
	}
	e.record, e.rev, e.settled, e.refused = rec, rev, false, rec.Refused
	e.revoked = rec.Revoked
}

// remove forgets an instance that is neither in the store nor in the tunnel any more.
func (t *table) remove(id vm.InstanceID, until time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if e := t.instances[id]; e != nil {
		t.dropLocked(e)
		t.pool.rest(e.record.Addr, until)
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
		e.settled = false
	}
}

// occupied notes that an address in our pool is somebody else's, or rests.
func (t *table) occupied(a netip.Addr, holder vm.InstanceID, until time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if holder != "" {
		t.pool.claim(a)
	} else {
		t.pool.rest(a, until.Add(restSlack))
	}
}

// knows reports whether an event tells nothing new: most are this gateway's own.
func (t *table) knows(id vm.InstanceID, ev store.Event) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if strings.HasPrefix(ev.Key, overridePrefix) {
		o, ok := t.overrides[id]
		return ok == (ev.Value != nil) && (!ok || o.rev == ev.Revision)
	}
	e := t.instances[id]
	if ev.Value == nil {
		return e == nil
	}
	return e != nil && e.rev == ev.Revision
}

// otherApp reports whether the instance is known as another app's.
func (t *table) otherApp(id vm.InstanceID, app vm.AppID) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.instances[id]
	return e != nil && e.app != app
}

// unsettled reports whether an instance is here, and not yet as it should be.
func (t *table) unsettled(id vm.InstanceID) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.instances[id]
	return e != nil && !e.settled
}

func (t *table) ids() map[vm.InstanceID]bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	ids := make(map[vm.InstanceID]bool, len(t.instances))
	for id := range t.instances {
		ids[id] = true
	}
	return ids
}
