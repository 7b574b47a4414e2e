package vm

import (
	"hash/maphash"
	"slices"
)

// Builder makes Snapshots, each from the one before: Put and Remove note changes,
// Snapshot works out the apps they touched and shares everything else. A Builder
// has one owner; its Snapshots are for everybody.
type Builder struct {
	maxPerApp int64
	last      *Snapshot

	index     *indexEditor
	apps      editor[*App]
	instances editor[*Instance]

	appNumbers      numbers
	instanceNumbers numbers
	appsByID        map[AppID]uint32
	instancesByID   map[InstanceID]place
	drafts          map[uint32]*draft // of apps, by number
}

// place is where an instance stands: its number, and in which app at which position.
type place struct{ number, app, position uint32 }

// draft is an app that changed since the last Snapshot. Without instances it is no
// app any more.
type draft struct {
	id        AppID
	open      *Gauge
	instances []*Instance
}

// NewBuilder makes a Builder whose first Snapshot is empty. maxPerApp is the limit
// of every App's Open gauge; 0 is none.
func NewBuilder(maxPerApp int64) *Builder {
	b := &Builder{
		maxPerApp:     maxPerApp,
		index:         newIndexEditor(maphash.MakeSeed(), 64),
		appsByID:      make(map[AppID]uint32),
		instancesByID: make(map[InstanceID]place),
		drafts:        make(map[uint32]*draft),
	}
	b.last = &Snapshot{seed: b.index.seed, shift: b.index.shift, slots: b.index.slots.publish()}
	return b
}

// Put adds inst, or replaces the instance with its id. The Builder keeps inst, which
// must be in no Snapshot yet and must not be written to any more.
func (b *Builder) Put(inst *Instance) {
	at, known := b.instancesByID[inst.ID]
	if known && b.draft(at.app).id != inst.App {
		b.Remove(inst.ID)
		known = false
	}
	if !known {
		at = b.add(inst.ID, inst.App)
	}
	inst.label, _ = ParseLabel(string(inst.ID))
	inst.app = at.app
	b.instances.set(at.number, inst)
	b.draft(at.app).instances[at.position] = inst
}

// Remove takes out the instance, and its app with the last one. It reports whether
// there was one.
func (b *Builder) Remove(id InstanceID) bool {
	at, known := b.instancesByID[id]
	if !known {
		return false
	}
	delete(b.instancesByID, id)
	b.index.remove(string(id), instanceRef(at.number))
	b.instances.set(at.number, nil)
	b.instanceNumbers.give(at.number)

	d := b.draft(at.app)
	end := len(d.instances) - 1
	if last := d.instances[end]; int(at.position) != end { // the last one fills the gap
		d.instances[at.position] = last
		moved := b.instancesByID[last.ID]
		moved.position = at.position
		b.instancesByID[last.ID] = moved
	}
	d.instances[end] = nil
	d.instances = d.instances[:end]
	if end == 0 {
		b.index.remove(string(d.id), appRef(at.app))
		delete(b.appsByID, d.id)
		b.appNumbers.give(at.app)
	}
	return true
}

// Snapshot is the state after all changes so far; the last one again if there was
// none.
func (b *Builder) Snapshot() *Snapshot {
	if len(b.drafts) == 0 {
		return b.last
	}
	for number, d := range b.drafts {
		var app *App
		if len(d.instances) > 0 {
			app = newApp(d.id, d.open, d.instances)
		}
		b.apps.set(number, app)
	}
	clear(b.drafts)
	b.last = &Snapshot{
		Version:   b.last.Version + 1,
		seed:      b.index.seed,
		shift:     b.index.shift,
		slots:     b.index.slots.publish(),
		apps:      b.apps.publish(),
		instances: b.instances.publish(),
		nApps:     len(b.appsByID),
		nInst:     len(b.instancesByID),
	}
	return b.last
}

// draft returns the app to be changed; the published one stays as it is.
func (b *Builder) draft(number uint32) *draft {
	d := b.drafts[number]
	if d == nil {
		app := b.apps.now.at(number)
		d = &draft{id: app.ID, open: app.Open, instances: slices.Clone(app.Instances)}
		b.drafts[number] = d
	}
	return d
}

// add makes room for an instance that is not there yet.
func (b *Builder) add(id InstanceID, app AppID) place {
	number, known := b.appsByID[app]
	if !known {
		number = b.appNumbers.take()
		b.appsByID[app] = number
		b.drafts[number] = &draft{id: app, open: NewGauge(b.maxPerApp)}
		b.insert(string(app), appRef(number))
	}
	d := b.draft(number)
	at := place{number: b.instanceNumbers.take(), app: number, position: uint32(len(d.instances))}
	d.instances = append(d.instances, nil)
	b.instancesByID[id] = at
	b.insert(string(id), instanceRef(at.number))
	return at
}

// insert adds an id to the index, which doubles when one of its pages is full.
func (b *Builder) insert(id string, r ref) {
	if b.index.insert(id, r) {
		return
	}
	for !b.reindex() {
	}
}

// reindex makes the index again, twice as large, from all ids. It reports false
// if that was still too small.
func (b *Builder) reindex() bool {
	b.index = newIndexEditor(b.index.seed, b.index.shift-1)
	for id, number := range b.appsByID {
		if !b.index.insert(string(id), appRef(number)) {
			return false
		}
	}
	for id, at := range b.instancesByID {
		if !b.index.insert(string(id), instanceRef(at.number)) {
			return false
		}
	}
	return true
}

// numbers hands out small numbers, those given back first.
type numbers struct {
	next   uint32
	unused []uint32
}

func (n *numbers) take() uint32 {
	if end := len(n.unused) - 1; end >= 0 {
		number := n.unused[end]
		n.unused = n.unused[:end]
		return number
	}
	n.next++
	return n.next - 1
}

func (n *numbers) give(number uint32) { n.unused = append(n.unused, number) }
