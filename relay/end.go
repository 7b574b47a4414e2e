package relay

// sentNothing is what the log says of a client that let the hello's deadline pass without a
// byte. A client of MySQL does so, or one of SMTP that is to begin TLS later.
const sentNothing = "the client sent nothing: TLS must come first, also where it is the server that speaks first"

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
	case lingering:
		c.close()
	case closed:
	}
}

// finish ends a connection that was relayed.
func (c *conn) finish() {
	if c.tls != nil {
		c.tls.close(c)
	}
	// A reset is passed on as a reset, so that bytes cut off do not look like an end;
	// but never at the cost of bytes that are under way.
	switch {
	case c.reason.broken(Client) && unsent(c.backend.fd) == 0:
		resetOnClose(c.backend.fd)
	case c.reason.broken(Instance) && unsent(c.client.fd) == 0:
		resetOnClose(c.client.fd)
	}
	c.report()
	c.closeBackend()
	c.close()
}

// closeBackend closes the backend's side and gives back what stood for it.
func (c *conn) closeBackend() {
	l := c.loop
	l.release(&c.up)
	l.release(&c.down)
	if c.backend.fd >= 0 {
		l.forget(c.backend.fd)
		c.backend.fd = -1
	}
	if c.watch != nil {
		l.evictions.leave(c)
		c.watch.Closed()
		c.watch = nil
	}
	c.leavePlace()
}

// close gives the client's descriptor back: the last thing that happens to a
// connection.
func (c *conn) close() {
	l := c.loop
	l.stop(&c.timer)
	l.forget(c.client.fd)
	c.releaseSource()
	c.phase = closed
	l.stats.open.Add(-1)
	l.engine.open.Add(-1)
}

// endOnPanic ends a connection whose relaying panics, and no other: one client must
// not be able to end the others' connections.
func (c *conn) endOnPanic() {
	if p := recover(); p != nil {
		c.loop.engine.tellPanic(p)
		if c.phase == relaying {
			c.reason = Internal
			if c.tls != nil { // it may be what panicked
				c.tls.release()
				c.tls = nil
			}
			c.finish()
		}
	}
}
