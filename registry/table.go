package registry

import (
	"cmp"
	"errors"
	"net/netip"
	"sync"
	"time"

	"sallyport/internal/vm"
)

// table is what the registry knows, in memory, behind one lock that is held for map
// lookups only. Each instance has up to four forms, which differ only while a change
// is on its way or stuck:
//
//	next   claimed, but not stored yet (change)
//	record as stored
//	set    what the tunnel may have
//	shown  what is published
type table struct {
	static          map[vm.InstanceID]bool
	node            string
	maxPerApp       int // below 1: no limit
	poolShare       int // percent
	requireEvidence bool
	interval        time.Duration // of re-attestation
	undecidedFor    time.Duration // how long an instance is served without a verdict
	wake            chan struct{} // holds one if evidence may have to be judged
	askEvery        time.Duration // the webhook, about an instance
	grace           time.Duration // after the end of a proof
	supervision     chan struct{} // holds one if authority may have ended

	mu        sync.Mutex // guards what follows
	instances map[vm.InstanceID]*entry
	keys      map[vm.WGKey]vm.InstanceID // whose key: stored, set, or claimed
	apps      map[vm.AppID]int           // how many instances
	names     map[vm.AppID]bool          // apps that have or had instances, since ever
	overrides map[vm.InstanceID]override
	pool      *pool
	demands   uint64 // how often Reattest was called

	authorities map[Fingerprint]bool // the roots in force; nil: not known
}

// entry is one instance. Only the holder of its lane changes it, except for seen.
type entry struct {
	id      vm.InstanceID
	app     vm.AppID
	record  record
	rev     int64 // of record in the store; 0: not stored yet
	set     tunnel
	shown   bool
	settled bool      // set and shown are what record and override say
	seen    time.Time // last registration, or the start
	problem string    // why it is not served, if it cannot be
	appraisal
	standing
}

// tunnel is one peer.
type tunnel struct {
	key  vm.WGKey
	addr netip.Addr
}

// override is an operator's policy, kept apart from what the guest says.
type override struct {
	policy vm.PortPolicy
	rev    int64
}

func newTable(o Options) (*table, error) {
	t := &table{
		static:    make(map[vm.InstanceID]bool),
		node:      o.Node,
		maxPerApp: o.MaxPerApp,
		poolShare: cmp.Or(o.PoolShare, defaultPoolShare),
		interval:  o.ReattestInterval,
		wake:      make(chan struct{}, 1),
		instances: make(map[vm.InstanceID]*entry),
		keys:      make(map[vm.WGKey]vm.InstanceID),
		apps:      make(map[vm.AppID]int),
		names:     make(map[vm.AppID]bool),
		overrides: make(map[vm.InstanceID]override),
	}
	t.requireEvidence, t.undecidedFor = o.RequireEvidence, o.UndecidedFor
	t.askEvery, t.grace, t.supervision = o.AuthorizeInterval, o.ProofGrace, make(chan struct{}, 1)
	if !o.OwnKey.IsZero() {
		t.keys[o.OwnKey] = "" // nobody's
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
	t.pool, err = newPool(o.Network, o.Pool, o.Reserved, addrs)
	return t, err
}

// renew notes that an instance has registered, if nothing about it has changed.
func (t *table) renew(q Request, now time.Time) (vm.Spec, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.instances[q.Instance]
	if e == nil || !e.settled || e.app != q.App || e.record.Key != q.Key || e.record.Compose != q.Compose {
		return vm.Spec{}, false
	}
	if q.Policy != nil && *q.Policy != e.record.Policy {
		return vm.Spec{}, false
	}
	if e.record.Node != t.node || t.refusedLocked(e) != "" {
		return vm.Spec{}, false
	}
	if len(q.Evidence) > 0 && q.digest != e.record.Evidence {
		return vm.Spec{}, false
	}
	if q.revocations != e.revocations || !sameAuthorityLocked(e, q, now) {
		return vm.Spec{}, false
	}
	e.seen, e.ask = now, now.Add(t.askEvery)
	return t.specLocked(e), true
}

// specLocked is what is to be published of e.
func (t *table) specLocked(e *entry) vm.Spec {
	policy := e.record.ports()
	if o, ok := t.overrides[e.id]; ok {
		policy = o.policy
	}
	return vm.Spec{
		ID: e.id, App: e.app, Key: e.record.Key, Addr: e.record.Addr, Compose: e.record.Compose, Policy: policy,
		Refused: t.refusedLocked(e),
	}
}

// addLocked makes room for an instance that is not stored yet.
func (t *table) addLocked(id vm.InstanceID, app vm.AppID, now time.Time) *entry {
	e := &entry{id: id, app: app, seen: now}
	t.instances[id] = e
	t.apps[app]++
	t.names[app] = true
	return e
}

func (t *table) dropLocked(e *entry) {
	delete(t.instances, e.id)
	if t.apps[e.app]--; t.apps[e.app] == 0 {
		delete(t.apps, e.app)
	}
	t.releaseLocked(e, e.record.Key)
	t.releaseLocked(e, e.set.key)
}

// releaseLocked gives key up, if it was e's.
func (t *table) releaseLocked(e *entry, key vm.WGKey) {
	if t.keys[key] == e.id {
		delete(t.keys, key)
	}
}

// nameTakenLocked reports whether id is, or was, an app's: no new instance may have it. The
// other way round there is no conflict, because an app is found before an instance of the same
// id: nobody shuts an app out by taking its id before it registers.
func (t *table) nameTakenLocked(id vm.InstanceID) bool {
	return t.apps[vm.AppID(id)] > 0 || t.names[vm.AppID(id)]
}

// unnamedLocked tells why no name leads to the instance itself; "" if one does.
func (t *table) unnamedLocked(id vm.InstanceID) string {
	if t.apps[vm.AppID(id)] > 0 {
		return "an app has its id: the name leads to that app, and this instance is reached through its own app only"
	}
	return ""
}

// sameName returns the instance of another app that has the id of app, if there is one.
func (t *table) sameName(app vm.AppID) (id vm.InstanceID, its vm.AppID, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.instances[vm.InstanceID(app)]
	if e == nil {
		return "", "", false
	}
	return e.id, e.app, true
}

// problemLocked tells why an instance cannot be served as it is stored; "" if it can.
func (t *table) problemLocked(e *entry) string {
	if err := errors.Join(vm.CheckReserved(e.app), vm.CheckReserved(e.id)); err != nil {
		return err.Error()
	}
	switch holder := t.keys[e.record.Key]; {
	case t.static[e.id]:
		return ErrStatic.Error()
	case t.static[vm.InstanceID(e.app)]:
		return ErrName.Error()
	case holder != e.id:
		return ErrKeyTaken.Error()
	case !t.pool.usable(e.record.Addr):
		return "its address " + e.record.Addr.String() + " is not for instances"
	}
	return ""
}
