package relay

import "iter"

// coro is a coroutine that sets connections up, one after the other. It runs on
// its loop's own thread, so that setup can be straight-line code: where it must
// wait it yields, and the loop resumes it when something happened to its
// connection. Nothing in it may block, nor wait for a mutex whose holder waits.
type coro struct {
	setup
	next  func() (struct{}, bool)
	stop  func()
	yield func(struct{}) bool
}

// corosFree bounds the coroutines that wait for work: each keeps the stack that
// a TLS handshake has grown, some 16 KiB. As many as may be busy in a storm of
// connections: with 64, one of 128 at a time left 500 bytes of garbage each.
const corosFree = setupBacklog

// coros is a loop's pool of idle coroutines.
type coros struct{ free []*coro }

// get returns an idle coroutine.
func (p *coros) get() *coro {
	if n := len(p.free); n > 0 {
		co := p.free[n-1]
		p.free[n-1] = nil
		p.free = p.free[:n-1]
		return co
	}
	co := &coro{}
	co.next, co.stop = iter.Pull(co.run)
	return co
}

// put keeps an idle coroutine, or ends it.
func (p *coros) put(co *coro) {
	if len(p.free) < corosFree {
		p.free = append(p.free, co)
		return
	}
	co.stop()
}

func (p *coros) close() {
	for _, co := range p.free {
		co.stop()
	}
	p.free = nil
}

// run serves one connection for each time it is begun, until it is stopped.
func (co *coro) run(yield func(struct{}) bool) {
	co.yield = yield
	for {
		co.serve()
		if !yield(struct{}{}) {
			return
		}
	}
}

// serve sets one connection up and makes the outcome final. A panic ends this
// connection only.
func (co *coro) serve() {
	c := co.c
	defer func() {
		if p := recover(); p != nil {
			c.loop.engine.logPanic(p)
			c.reason = Internal
		}
		co.conclude()
	}()
	if r := co.setup.run(); r != goOn {
		c.reason = r
	}
}

// beginSetup gives c, whose first bytes are there, a coroutine.
func (l *loop) beginSetup(c *conn) {
	co := l.coros.get()
	co.setup = setup{c: c, l: l}
	c.co, c.phase = co, settingUp
	l.wake(c)
}

// resume lets c's coroutine run until it waits or is done.
func (l *loop) resume(c *conn) {
	co := c.co
	co.next()
	if c.phase == settingUp {
		return
	}
	c.co = nil
	co.setup = setup{}
	l.coros.put(co)
	if c.phase == relaying {
		c.pump()
	}
}
