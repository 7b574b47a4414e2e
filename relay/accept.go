package relay

import (
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"

	"sallyport/internal/hello"
	"sallyport/internal/nonblock"
)

// acceptAll takes new connections, a few from each listener. When setups pile up
// the kernel's queue has to wait: accepting more would only make all of them slow.
func (l *loop) acceptAll() {
	for _, ln := range l.listen {
		for n := 0; n < acceptBudget && l.mayAccept(ln); n++ {
			l.acceptOne(ln)
		}
	}
}

// setupBacklog is how many setups may wait for their turn while more
// connections are taken in.
const setupBacklog = 256

func (l *loop) mayAccept(ln *listener) bool {
	return ln.waiting && !l.pause.armed && len(l.setups) < setupBacklog
}

// acceptLeft reports whether the last round left connections in the kernel's queue.
func (l *loop) acceptLeft() bool {
	return slices.ContainsFunc(l.listen, l.mayAccept)
}

func (l *loop) acceptOne(ln *listener) {
	fd, addr, errno := nonblock.Accept(ln.fd)
	switch errno {
	case 0:
		l.admit(fd, addr)
	case unix.EAGAIN:
		ln.waiting = false
	case unix.EMFILE, unix.ENFILE, unix.ENOBUFS, unix.ENOMEM:
		l.shed(ln, errno)
	default:
		// ECONNABORTED and the network errors of accept(2): that connection is gone,
		// the next one is not.
	}
}

// admit makes a descriptor a connection. No coroutine yet: a client that sends
// nothing costs a descriptor and 300 bytes.
func (l *loop) admit(fd int32, addr netip.AddrPort) {
	e := l.engine
	c := &conn{loop: l, addr: addr, last: l.now}
	if e.believes(addr.Addr()) {
		c.marks.set(ofBalancer)
	}
	c.client.fd, c.backend.fd = fd, -1
	c.timer.c = c
	if e.opts.Access {
		c.log = &record{began: l.now}
	}
	l.stats.open.Add(1)
	err := l.poller.Add(fd, c, uint8(clientSide), nonblock.Both)
	if e.open.Add(1)-e.lingering.Load() > int64(e.opts.MaxConnections) && !l.makeRoom() {
		c.client.writable = true
		c.reason = ConnectionLimit
		c.refuse(c.reason.alert())
		return
	}
	if err != nil {
		e.warnEpoll(err)
		c.reason = Descriptor
		c.refuse(alertNone)
		return
	}
	if c.reason = c.admitSource(); c.reason != goOn {
		c.client.writable = true
		c.refuse(c.reason.alert())
		return
	}
	l.stats.accepted.Add(1)
	l.arm(&c.timer, timerHello)
}

// makeRoom ends the connection of this loop that has waited longest for the rest of its
// hello, if there is one. A stranger that sends nothing would otherwise hold a place for as
// long as a hello may take, and 500 of them a second hold 2,500: more than a limit of
// 4,096 descriptors has room for. So they push out each other; a client that speaks is
// not the oldest.
func (l *loop) makeRoom() bool {
	t := l.timers[timerHello].head
	if t == nil {
		return false
	}
	l.stop(t) // it may take until its coroutine's turn: it makes room once
	defer t.c.endOnPanic()
	t.c.end(ConnectionLimit)
	return true
}

// shed is what to do when there is no descriptor left: a reserve is given up for
// as long as it takes to accept one client and close it, which is kinder than to
// let it wait for its own timeout. Then accepting pauses: the listener stays
// readable, and to ask again at once would spin.
func (l *loop) shed(ln *listener, errno unix.Errno) {
	e := l.engine
	l.stats.acceptErrors.Add(1)
	e.warnDescriptors(errno)
	if l.reserve >= 0 {
		nonblock.Close(l.reserve)
		if fd, _, errno := nonblock.Accept(ln.fd); errno == 0 {
			nonblock.SetInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
			_, _ = nonblock.Send(fd, plaintextAlert(Descriptor.alert()))
			nonblock.Close(fd)
			l.stats.ended[hello.Undecided][Descriptor].Add(1)
		}
		l.reserve = openReserve()
	}
	l.arm(&l.pause, timerAccept)
}

// openReserve holds a descriptor back; -1 if there is none to be had.
func openReserve() int32 {
	fd, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1
	}
	return int32(fd)
}

// stopAccepting takes what the kernel has already accepted, and closes the
// listeners: to close one with connections in its queue would reset them. That is no
// more than the queue has room for: others may come as fast as they are taken.
func (l *loop) stopAccepting() {
	for _, ln := range l.listen {
		ln.waiting = true
		for n := 0; ln.waiting && n <= backlog; n++ {
			fd, addr, errno := nonblock.Accept(ln.fd)
			if errno == 0 {
				l.admit(fd, addr)
				continue
			}
			ln.waiting = errno == unix.ECONNABORTED
		}
		l.forget(ln.fd)
	}
	l.listen = nil
}
