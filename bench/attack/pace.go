package attack

import (
	"context"
	"time"
)

// A pace is a schedule of things, so many a second.
type pace struct {
	rate  float64
	saved time.Duration // how much that was due before may be caught up
	next  time.Time     // when the next thing is due; zero: at once
}

// wait waits until the next n things are due, and reports false when ctx has ended.
func (p *pace) wait(ctx context.Context, n int) bool {
	now := time.Now()
	if oldest := now.Add(-p.saved); p.next.IsZero() {
		p.next = now
	} else if p.next.Before(oldest) {
		p.next = oldest
	}
	until := p.next.Sub(now)
	p.next = p.next.Add(time.Duration(float64(n) / p.rate * float64(time.Second)))
	if until <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(until)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
