package registry

import (
	"fmt"
	"sync"
	"time"

	"sallyport/internal/vm"
)

// Limits for one app or one instance on what all share: instances and addresses (shareLocked),
// and changes, each of which is a commit to the disk, a peer in the kernel, and perhaps an
// appraisal of evidence (changes).

const (
	defaultMaxPerApp = 1024
	defaultPoolShare = 50 // percent

	defaultChangeInterval = 10 * time.Second
	changeBurst           = 3
)

// shareLocked refuses an instance that is new, or needs an address, if its app has reached its
// share. Registered instances stay, also after a limit was lowered.
//
// An app may hold a percentage of the addresses that are its own or free: the more apps there
// are, the fewer each can take. An app without an address may take the last one.
func (t *table) shareLocked(e *entry, app vm.AppID, now time.Time) error {
	if e == nil && t.o.MaxPerApp > 0 && t.apps[app] >= t.o.MaxPerApp {
		return fmt.Errorf("%w: it has %d", ErrAppFull, t.apps[app])
	}
	if e != nil && e.rev > 0 && t.pool.Usable(e.record.Addr) || t.o.PoolShare >= 100 {
		return nil
	}
	free := t.pool.Left(now)
	if free == 0 {
		return nil // ErrExhausted says more
	}
	if t.fits(t.apps[app], free) {
		return nil // without counting: static instances and those of other pools are in it
	}
	if own := t.addressesLocked(app); !t.fits(own, free) {
		return fmt.Errorf("%w: it has %d addresses, and %d are free", ErrAppShare, own, free)
	}
	return nil
}

// fits reports whether an app with own addresses may take one of those that are free.
func (t *table) fits(own, free int) bool { return (own+1)*100 <= t.o.PoolShare*(own+free) || own == 0 }

// addressesLocked counts the addresses of this pool that an app has or is about to get.
func (t *table) addressesLocked(app vm.AppID) (n int) {
	for _, e := range t.instances {
		if e.app == app && (t.pool.Contains(e.record.Addr) || e.rev == 0) {
			n++
		}
	}
	return n
}

// changes bounds how often each instance changes its registration. Registrations that change
// nothing are not counted.
type changes struct {
	interval time.Duration // below 0: no bound

	mu    sync.Mutex                  // guards what follows; held for a map access, seldom for a walk
	whole map[vm.InstanceID]time.Time // when the instance may burst again
	sweep int                         // the size at which those that may are dropped
}

func newChanges(interval time.Duration) *changes {
	return &changes{interval: interval, whole: make(map[vm.InstanceID]time.Time), sweep: 1024}
}

// take counts a change. If there were too many, its error says how long to wait.
func (c *changes) take(id vm.InstanceID, now time.Time) error {
	if c.interval < 0 {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	whole := c.whole[id]
	if whole.Before(now) {
		whole = now
	}
	whole = whole.Add(c.interval)
	if wait := whole.Sub(now) - changeBurst*c.interval; wait > 0 {
		return fmt.Errorf("%w: once in %v is allowed, try again in %v", ErrTooOften, c.interval, wait.Round(time.Second/10))
	}
	if c.whole[id] = whole; len(c.whole) >= c.sweep {
		for other, at := range c.whole {
			if at.Before(now) {
				delete(c.whole, other)
			}
		}
		c.sweep = max(1024, 2*len(c.whole))
	}
	return nil
}
