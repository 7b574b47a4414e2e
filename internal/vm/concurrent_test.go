package vm

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
)

// Readers hold a snapshot while the builder makes the next ones from it: under the
// race detector this shows a page that is written to after it was shared.
func TestSnapshotsAreReadWhileTheNextOnesAreMade(t *testing.T) {
	const instances = 500
	b := NewBuilder(0)
	var current atomic.Pointer[Snapshot]
	current.Store(b.Snapshot())
	var stop atomic.Bool
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for i := 0; !stop.Load(); i++ {
				s := current.Load()
				id := fmt.Sprint("i", i%instances)
				if app, inst := s.Lookup([]byte(id)); inst != nil && (string(inst.ID) != id || app.ID != inst.App) {
					t.Errorf("Lookup(%v) = %v, %v", id, app.ID, inst.ID)
					return
				}
			}
		})
	}
	for i := range 4 * instances {
		id := InstanceID(fmt.Sprint("i", i*7%instances))
		if i%3 == 2 {
			b.Remove(id)
		} else {
			b.Put(instance(AppID(fmt.Sprint("a", i%40)), id))
		}
		current.Store(b.Snapshot())
	}
	stop.Store(true)
	wg.Wait()
}
