package pccs

import (
	"context"
	"errors"
	"time"
)

// Documents are fetched again long before they end, so that a PCCS may be down for
// days: after three quarters of their time, and at least daily, because a TCB
// recovery or a revocation does not wait for the end of what was published before.
// A server that goes on sending the same near their end is asked every hour.
const (
	refreshEvery = 24 * time.Hour
	refreshNear  = time.Hour
	minRetry     = time.Minute
	maxRetry     = time.Hour
)

// dueAfter is when to fetch e again, which was fetched then.
func (e *entry) dueAfter(fetched time.Time) time.Time {
	daily, late, soon := fetched.Add(refreshEvery), e.until.Add(-e.until.Sub(e.from)/4), fetched.Add(refreshNear)
	if late.Before(soon) {
		late = soon
	}
	if late.Before(daily) {
		return late
	}
	return daily
}

// Run keeps the documents of all known platforms fresh, those on disk and those that
// were asked for, until ctx ends or the client is closed. It is to be called once.
func (c *Client) Run(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(c.ctx, cancel)()
	c.adopt()
	for {
		for _, p := range c.overdue() {
			c.refresh(ctx, p)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(c.untilDue()):
		}
	}
}

// adopt takes over what is on disk.
func (c *Client) adopt() {
	all, err := c.disk.list()
	if err != nil {
		c.log.Warn("cannot list the collateral on disk; reading it when it is needed", "error", err)
	}
	for i, p := range all {
		if i >= maxPlatforms {
			c.forget(p)
			continue
		}
		c.mu.Lock()
		held := c.held[p] != nil
		c.mu.Unlock()
		if held {
			continue
		}
		if e := c.load(p); e != nil {
			c.hold(p, e)
		}
	}
}

// refresh fetches the documents of p again.
func (c *Client) refresh(ctx context.Context, p Platform) {
	f, err := c.join(p, true)
	if err == nil {
		select {
		case <-f.done:
			err = f.err
		case <-ctx.Done():
		}
	}
	if err != nil && ctx.Err() == nil && !errors.Is(err, errClosed) {
		c.log.Warn("cannot refresh collateral; using the current documents until they expire", "platform", p.String(), "until", c.until(p), "error", err)
	}
}

// until is when the documents of p end; zero if there are none.
func (c *Client) until(p Platform) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.held[p]; e != nil {
		return e.until
	}
	return time.Time{}
}

// overdue lists the platforms to be refreshed now.
func (c *Client) overdue() []Platform {
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	var list []Platform
	for p, e := range c.held {
		if !now.Before(e.due) {
			list = append(list, p)
		}
	}
	return list
}

// untilDue is how long Run may sleep: at most an hour. What comes meanwhile is not
// due sooner, and clocks are put right.
func (c *Client) untilDue() time.Duration {
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	wait := refreshNear
	for _, e := range c.held {
		wait = min(wait, e.due.Sub(now))
	}
	return max(wait, time.Second)
}
