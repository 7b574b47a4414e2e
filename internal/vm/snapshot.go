package vm

import (
	"hash/maphash"
	"iter"
)

// Snapshot is all that the data plane knows about apps and instances at one
// moment. It is immutable and shares what did not change with its predecessor. All
// methods may be called concurrently; none locks or allocates.
type Snapshot struct {
	// Version grows by one with each Snapshot of a Builder.
	Version uint64

	seed      maphash.Seed
	shift     uint8
	slots     paged[slot]
	apps      paged[*App]
	instances paged[*Instance]
	nApps     int
	nInst     int
}

// Lookup finds what a label in lower case names: an instance and its app, or an app
// alone. Of an instance and an app with the same id the app is found: clients know apps
// by their names, and an instance must not be able to stand in for one. Both are nil if
// the label names neither.
func (s *Snapshot) Lookup(label []byte) (*App, *Instance) {
	hash := maphash.Bytes(s.seed, label)
	tag := uint32(hash)
	page := s.slots.pages[hash>>s.shift]
	var found *Instance
	for i := tag; ; i++ {
		e := &page[i%pageSize]
		switch {
		case e.ref == 0:
			if found == nil {
				return nil, nil
			}
			return s.apps.at(found.app), found
		case e.tag != tag:
		case e.ref.isInstance():
			if inst := s.instances.at(e.ref.number()); string(inst.label.Bytes()) == string(label) {
				found = inst
			}
		default:
			if app := s.apps.at(e.ref.number()); string(app.label.Bytes()) == string(label) {
				return app, nil
			}
		}
	}
}

// Apps iterates over all apps, in no particular order.
func (s *Snapshot) Apps() iter.Seq[*App] {
	return func(yield func(*App) bool) {
		for _, page := range s.apps.pages {
			for _, app := range page {
				if app != nil && !yield(app) {
					return
				}
			}
		}
	}
}

// Len returns how many apps and instances there are.
func (s *Snapshot) Len() (apps, instances int) { return s.nApps, s.nInst }
