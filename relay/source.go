package relay

import "sallyport/relay/sources"

// admitSource counts a connection against MaxPerSource, from when its client is known:
// when it is accepted, or behind a balancer when its PROXY header is there. A balancer's
// own address is not a client's.
func (c *conn) admitSource() Reason {
	e := c.loop.engine
	if e.opts.MaxPerSource == 0 || c.marks.has(ofBalancer) {
		return goOn
	}
	if !e.sources.Acquire(sources.Held{By: sources.Of(c.addr.Addr())}, e.opts.MaxPerSource) {
		return SourceLimit
	}
	c.marks.set(inSource)
	return goOn
}

// releaseSource takes admitSource back.
func (c *conn) releaseSource() {
	if c.marks.has(inSource) {
		c.loop.engine.sources.Release(sources.Held{By: sources.Of(c.addr.Addr())})
		c.marks.clear(inSource)
	}
}

// takePlace takes one of the places of limit, of which one source may hold share.
func (c *conn) takePlace(limit Limit, share int) Reason {
	place := sources.Held{By: sources.Of(c.addr.Addr()), Of: limit}
	counted := share > 0 && !c.marks.has(ofBalancer)
	if counted && !c.loop.engine.sources.Acquire(place, share) {
		return SourceLimit
	}
	if !limit.Acquire() {
		if counted {
			c.loop.engine.sources.Release(place)
		}
		return AppLimit
	}
	if c.limit = limit; counted {
		c.marks.set(inShare)
	}
	return goOn
}

// leavePlace gives the place back.
func (c *conn) leavePlace() {
	if c.limit == nil {
		return
	}
	if c.marks.has(inShare) {
		c.loop.engine.sources.Release(sources.Held{By: sources.Of(c.addr.Addr()), Of: c.limit})
	}
	c.limit.Release()
	c.limit = nil
	c.marks.clear(inShare)
}
