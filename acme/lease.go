package acme

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// Leases: one gateway at a time works on a name. A gateway that dies lets go when the
// TTL ends, or at once when it comes back, as the same owner. One that lost its
// lease, by a clock or a store that hangs, must stop: its work's context ends.

// leaseTTL is how long a dead gateway keeps the others waiting. Renewed thrice.
const leaseTTL = 45 * time.Second

// leases are those of one process.
type leases struct {
	store Store
	owner string

	mu   sync.Mutex
	held map[string]chan struct{} // closed when it is let go
}

func newLeases(s Store, owner string) *leases {
	return &leases{store: s, owner: owner, held: map[string]chan struct{}{}}
}

// hold waits for the lease of name and keeps it until release is called. lost is
// called, once, if it cannot be kept.
func (l *leases) hold(ctx context.Context, name string, lost context.CancelCauseFunc) (release func(context.Context) error, err error) {
	if err := l.enter(ctx, name); err != nil {
		return nil, fmt.Errorf("lock %s: %w", name, err)
	}
	if err := l.acquire(ctx, name); err != nil {
		l.leave(name)
		return nil, fmt.Errorf("lock %s: %w", name, err)
	}
	keep, stop := context.WithCancel(ctx)
	var keeping sync.WaitGroup
	keeping.Go(func() { l.keep(keep, name, lost) })
	return func(ctx context.Context) error {
		defer l.leave(name)
		stop()
		keeping.Wait()
		return l.store.Unlock(ctx, name, l.owner)
	}, nil
}

// enter takes name among the goroutines of this process: in the store they are one.
func (l *leases) enter(ctx context.Context, name string) error {
	for {
		l.mu.Lock()
		other := l.held[name]
		if other == nil {
			l.held[name] = make(chan struct{})
		}
		l.mu.Unlock()
		if other == nil {
			return nil
		}
		select {
		case <-other:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (l *leases) leave(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.held[name])
	delete(l.held, name)
}

func (l *leases) acquire(ctx context.Context, name string) error {
	for {
		ok, err := l.store.Lock(ctx, name, l.owner, leaseTTL)
		if ok || err != nil {
			return err
		}
		if err := sleep(ctx, leaseTTL/20); err != nil {
			return err
		}
	}
}

// keep prolongs the lease until ctx ends. Errors of the store are tried again until
// the lease may have ended.
func (l *leases) keep(ctx context.Context, name string, lost context.CancelCauseFunc) {
	prolonged := time.Now()
	for sleep(ctx, leaseTTL/3) == nil {
		at := time.Now()
		ok, err := l.store.Lock(ctx, name, l.owner, leaseTTL)
		switch {
		case ctx.Err() != nil:
			return
		case ok && err == nil:
			prolonged = at
		case err == nil || time.Since(prolonged) > leaseTTL*2/3:
			lost(fmt.Errorf("lock %s: was lost to another gateway, or the store does not answer: %w", name, context.Canceled))
			return
		}
	}
}

// sleep waits for d or the end of ctx.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
