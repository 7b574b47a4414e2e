package relay

// sentNothing is the detail in the log for a client that let the hello's deadline pass without a
// byte. A client of MySQL does so, or one of SMTP that is to begin TLS later.
const sentNothing = "the client sent nothing: it must start TLS first, even if the server speaks first inside TLS"

// end ends a connection for a reason of the gateway's, whatever its phase.
func (c *conn) end(r Reason) {
	switch c.phase {
	case waiting:
		c.reason = r
		if r == HelloTimeout {
			c.detail(sentNothing)
		}
		c.refuse(alertNone) // nothing was said yet, so there is nothing to answer
	case settingUp:
		c.reason = r
		c.loop.wake(c)
	case relaying:
		c.reason = r
		c.finish()
	case parting, lingering:
		c.close()
	case closed:
	}
}

// finish ends a connection that was relayed.
func (c *conn) finish() {
	if c.tls != nil {
		c.tls.release()
	}
	c.report()
	c.leaveBackend()
	if c.up.ended == whole && c.down.ended == whole {
		c.close()
		return
	}
	c.phase, c.last, c.unsent = parting, c.loop.now, 0
	c.part()
}

// leaveBackend gives back everything of the backend except its descriptor.
func (c *conn) leaveBackend() {
	l := c.loop
	l.release(&c.up)
	l.release(&c.down)
	if c.watch != nil {
		l.evictions.leave(c)
		c.watch.Closed()
		c.watch = nil
	}
}

// close gives back what is left: the last thing that happens to a connection.
func (c *conn) close() {
	l := c.loop
	l.stop(&c.timer)
	for _, e := range [...]*end{&c.client, &c.backend} {
		switch {
		case e.fd < 0:
		case c.phase == parting:
			l.reset(e)
		default:
			l.forget(e.fd)
			e.fd = -1
		}
	}
	c.leavePlace()
	c.releaseSource()
	c.phase = closed
	if c.marks.has(amongRefused) {
		l.engine.lingering.Add(-1)
	}
	l.stats.open.Add(-1)
	l.engine.open.Add(-1)
}

// endOnPanic ends a connection whose event, timer or relaying panics, and no other: one
// client must not be able to end the others' connections.
func (c *conn) endOnPanic() {
	p := recover()
	if p == nil {
		return
	}
	c.loop.engine.logPanic(p)
	switch c.phase {
	case relaying:
		c.reason = Internal
		if c.tls != nil { // it may be what panicked
			c.tls.release()
			c.tls = nil
		}
		c.finish()
	case settingUp:
		c.end(Internal)
	case waiting:
		c.reason = Internal
		c.report()
		c.close()
	case parting, lingering:
		c.close()
	case closed:
	}
}
