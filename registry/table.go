package registry

import (
	"net/netip"
	"sync"
	"time"

	"sallyport/internal/oneline"
	"sallyport/internal/vm"
	"sallyport/registry/pool"
	"sallyport/registry/record"
)

// A table holds what is unique among the instances: ids, WireGuard keys, addresses, names, and
// each app's share of them. It is the registry's memory, behind one lock that is held for
// lookups only. The state of one instance is its entry's.
type table struct {
	o           Options // its limits and times
	static      map[vm.InstanceID]bool
	wake        chan struct{} // holds one if evidence may be due
	supervision chan struct{} // holds one if authority may have ended

	mu        sync.Mutex // guards what follows
	instances map[vm.InstanceID]*entry
	keys      map[vm.WGKey]vm.InstanceID // the holder of each: stored, set, or claimed
	apps      map[vm.AppID]int           // the number of instances
	names     map[vm.AppID]bool          // apps that have or ever had instances
	overrides map[vm.InstanceID]override
	pool      *pool.Pool
	demands   uint64 // how often Reattest was called

	authorities map[Fingerprint]bool // the roots in force; nil: not known
}

// override is an operator's port policy. It outlives the instance.
type override struct {
	policy vm.PortPolicy
	rev    int64
}

// newTable returns a table with the static instances. o has its defaults.
func newTable(o Options) (*table, error) {
	t := &table{
		o:           o,
		static:      make(map[vm.InstanceID]bool),
		wake:        make(chan struct{}, 1),
		supervision: make(chan struct{}, 1),
		instances:   make(map[vm.InstanceID]*entry),
		keys:        make(map[vm.WGKey]vm.InstanceID),
		apps:        make(map[vm.AppID]int),
		names:       make(map[vm.AppID]bool),
		overrides:   make(map[vm.InstanceID]override),
	}
	if !o.OwnKey.IsZero() {
		t.keys[o.OwnKey] = "" // of no instance
	}
	addrs := make([]netip.Addr, 0, len(o.Static))
	for _, s := range o.Static {
		t.static[s.ID] = true
		t.apps[s.App]++
		if !s.Key.IsZero() {
			t.keys[s.Key] = s.ID
		}
		addrs = append(addrs, s.Addr)
	}
	var err error
	t.pool, err = pool.New(o.Network, o.Pool, o.Reserved, addrs)
	return t, err
}

// with calls do with the entry of id, under the lock. Without one it does nothing.
func (t *table) with(id vm.InstanceID, do func(e *entry)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if e := t.instances[id]; e != nil {
		do(e)
	}
}

// stored returns the record of id and its revision in the store; 0: there is none.
func (t *table) stored(id vm.InstanceID) (rec record.Record, rev int64) {
	t.with(id, func(e *entry) { rec, rev = e.record, e.rev })
	return rec, rev
}

// unsettled reports whether an instance is here, and tunnel and data plane are not as they
// should be.
func (t *table) unsettled(id vm.InstanceID) (yes bool) {
	t.with(id, func(e *entry) { yes = !e.settled })
	return yes
}

// otherApp reports whether id is known as an instance of another app.
func (t *table) otherApp(id vm.InstanceID, app vm.AppID) (yes bool) {
	t.with(id, func(e *entry) { yes = e.app != app })
	return yes
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

// specLocked returns what should be published of e.
func (t *table) specLocked(e *entry) vm.Spec {
	policy := e.record.Ports()
	if o, ok := t.overrides[e.id]; ok {
		policy = o.policy
	}
	return vm.Spec{
		ID: e.id, App: e.app, Key: e.record.Key, Addr: e.record.Addr, Compose: e.record.Compose, Policy: policy,
		Refused: e.refusal(t.o.RequireEvidence),
	}
}

// addLocked adds an instance that is not stored yet.
func (t *table) addLocked(id vm.InstanceID, app vm.AppID, now time.Time) *entry {
	e := newEntry(id, app, now)
	t.instances[id] = e
	t.apps[app]++
	t.names[app] = true
	return e
}

// forget removes an instance that is neither in the store nor in the tunnel. Its address rests
// until then.
func (t *table) forget(id vm.InstanceID, until time.Time) {
	t.with(id, func(e *entry) {
		t.dropLocked(e)
		t.pool.Rest(e.record.Addr, until)
	})
}

func (t *table) dropLocked(e *entry) {
	delete(t.instances, e.id)
	if t.apps[e.app]--; t.apps[e.app] == 0 {
		delete(t.apps, e.app)
	}
	t.releaseLocked(e, e.record.Key)
	t.releaseLocked(e, e.set.key)
}

// releaseLocked frees key if e holds it.
func (t *table) releaseLocked(e *entry, key vm.WGKey) {
	if t.keys[key] == e.id {
		delete(t.keys, key)
	}
}

// nameTakenLocked reports whether id is or was the id of an app; a new instance may not use it.
// An app may use the id of an instance: clients find the app first. So an app cannot be kept out
// by an instance that registers its id.
func (t *table) nameTakenLocked(id vm.InstanceID) bool {
	return t.apps[vm.AppID(id)] > 0 || t.names[vm.AppID(id)]
}

// unnamedLocked returns why no name leads to the instance itself; "": one does.
func (t *table) unnamedLocked(id vm.InstanceID) string {
	if t.apps[vm.AppID(id)] > 0 {
		return "an app has the same id: the name leads to that app; this instance is reached only through its own app"
	}
	return ""
}

// sameName returns the app of the instance that has the id of app. It reports false if there is
// no such instance.
func (t *table) sameName(app vm.AppID) (its vm.AppID, ok bool) {
	t.with(vm.InstanceID(app), func(e *entry) { its, ok = e.app, true })
	return its, ok
}

// problemLocked returns why an instance cannot be served as it is stored; "": it can.
func (t *table) problemLocked(e *entry) string {
	if err := oneline.Join(vm.CheckReserved(e.app), vm.CheckReserved(e.id)); err != nil {
		return err.Error()
	}
	switch holder := t.keys[e.record.Key]; {
	case t.static[e.id]:
		return ErrStatic.Error()
	case t.static[vm.InstanceID(e.app)]:
		return ErrName.Error()
	case holder != e.id:
		return ErrKeyTaken.Error()
	case !t.pool.Usable(e.record.Addr):
		return "its address " + e.record.Addr.String() + " is reserved, static, or outside of the tunnel network"
	}
	return ""
}
