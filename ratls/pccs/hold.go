package pccs

import (
	"time"

	"sallyport/internal/backoff"
)

// What a Client stores: the documents of at most maxPlatforms platforms, until they expire,
// and failures for failedFor.

// hold stores e. If there are too many entries, those whose last use is the oldest go, with
// their files.
func (c *Client) hold(p Platform, e *entry) {
	c.mu.Lock()
	c.held[p] = e
	delete(c.failed, p)
	var gone []Platform
	for len(c.held) > maxPlatforms {
		last := p
		for q, other := range c.held {
			if q != p && (last == p || other.used.Before(c.held[last].used)) {
				last = q
			}
		}
		delete(c.held, last)
		gone = append(gone, last)
	}
	c.mu.Unlock()
	for _, q := range gone {
		c.forget(q)
	}
}

// forget deletes the file of p.
func (c *Client) forget(p Platform) {
	if err := c.disk.remove(p); err != nil {
		c.log.Warn("cannot delete an old collateral file", "platform", p.String(), "error", err)
	}
}

// rememberFailure stores a failure. The caller holds c.mu. It drops documents that have
// expired: the next caller that needs them causes the next try.
func (c *Client) rememberFailure(p Platform, err error) {
	now := time.Now()
	if e := c.held[p]; e != nil {
		e.failures++
		e.due = now.Add(backoff.Double(minRetry, maxRetry, e.failures))
		if now.After(e.until) {
			delete(c.held, p)
		}
	}
	if c.ctx.Err() != nil {
		return
	}
	for q, f := range c.failed {
		if len(c.failed) >= maxPlatforms || !now.Before(f.until) {
			delete(c.failed, q)
		}
	}
	c.failed[p] = failure{err, now.Add(failedFor)}
}

// load reads the documents of p from the disk. It returns nil if they cannot be used.
func (c *Client) load(p Platform) *entry {
	docs, fetched, err := c.disk.load(p)
	var e *entry
	if err == nil && docs != nil {
		e, err = examine(p, docs, c.root)
	}
	if err != nil {
		c.log.Warn("ignoring a damaged collateral file; fetching its documents again", "file", c.disk.path(p), "error", err)
		return nil
	}
	now := time.Now()
	if e == nil || !e.holds(now) {
		return nil
	}
	if fetched.After(now) { // a clock went back
		fetched = now
	}
	e.used, e.due = now, e.dueAfter(fetched)
	return e
}
