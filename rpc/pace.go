package rpc

import (
	"context"
	"net/http"
	"sync"
	"time"
)

// The calls of one certificate. A guest makes one or two every 180 s, and a few at once
// after a start; a call beyond these is not refused but waits, which costs its sender a
// place for each, and this process nothing.
const (
	callInterval = 200 * time.Millisecond
	callBurst    = 20
	maxCallWait  = 10 * time.Second
)

// pace spaces the calls of each certificate, or its handshakes (excess.go).
type pace struct {
	mu    sync.Mutex        // guards what follows; held for a map access, seldom for a walk
	next  map[any]time.Time // when a certificate's burst is whole again
	sweep int               // at this size those that are whole are dropped
}

func newPace() *pace { return &pace{next: make(map[any]time.Time), sweep: 1024} }

// take counts a call of a holder, and returns how long it is to wait. A call that would wait
// too long is not counted.
func (p *pace) take(who any, now time.Time) (wait time.Duration, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	whole := p.next[who]
	if whole.Before(now) {
		whole = now
	}
	whole = whole.Add(callInterval)
	if wait = whole.Sub(now) - callBurst*callInterval; wait > maxCallWait {
		return 0, false
	}
	if p.next[who] = whole; len(p.next) >= p.sweep {
		for w, t := range p.next {
			if t.Before(now) {
				delete(p.next, w)
			}
		}
		p.sweep = max(1024, 2*len(p.next))
	}
	return max(0, wait), true
}

// wait returns when a call of a holder may go on.
func (p *pace) wait(ctx context.Context, who any) error {
	wait, ok := p.take(who, time.Now())
	if !ok {
		return &statusError{http.StatusTooManyRequests, "too many calls of this certificate: want at most 5 a second"}
	}
	if wait == 0 {
		return nil
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
