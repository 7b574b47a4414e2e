package pccs

import (
	"context"
	"errors"
	"time"
)

// Documents are fetched again long before they expire, so that a PCCS may be down for days:
// after three quarters of their validity, and at least daily, because a TCB recovery or a
// revocation does not wait for the end of older documents. If a server still sends the same
// documents near their end, it is asked every hour.
const (
	refreshEvery = 24 * time.Hour
	refreshNear  = time.Hour
	minRetry     = time.Minute
	maxRetry     = time.Hour
)

// dueAfter returns the time to fetch e again. fetched is the time of the last fetch.
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

// Run refreshes the documents of all platforms that are on disk or were asked for, until ctx
// ends or the client is closed. Call it once at most.
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

// adopt reads the documents on disk.
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

// until returns the end of validity of the documents of p, zero if there are none.
func (c *Client) until(p Platform) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.held[p]; e != nil {
		return e.until
	}
	return time.Time{}
}

// overdue returns the platforms to refresh now.
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

// untilDue returns how long Run may sleep, at most an hour, because clocks are adjusted. New
// documents are not due sooner.
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
