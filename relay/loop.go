package relay

import (
	"log/slog"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"sallyport/internal/nonblock"
	"sallyport/relay/buffer"
	"sallyport/relay/inbox"
	"sallyport/relay/thread"
)

// An event loop: one goroutine locked to its thread, with its own epoll
// instance, its own listeners (SO_REUSEPORT) and its own connections. No other
// thread touches them, except for the inbox and the counters.
//
// A round serves, in this order: connections that are relayed, as their events
// are read; timers; messages; connections that are ended from outside; connections that are being set up, for at most
// setupBudget or one long step; new connections, acceptBudget of them. So a storm of hellos
// cannot starve connections that are up.
type loop struct {
	engine  *Engine
	log     *slog.Logger
	poller  nonblock.Poller[*conn] // no conn: a listener's, or the inbox's; the role is a side
	now     int64                  // ns since the engine was made, read once a round
	timers  [timerKinds]timerList
	inbox   inbox.Inbox
	listen  []*listener
	pause   timer // armed: no accepting
	reserve int32 // a descriptor to give up when there is none left
	coros   coros
	chunks  buffer.Chunks
	pipes   buffer.Pipes
	bridges map[int32]*bridge // by the loop's descriptor

	evictions evictions

	ready  []*conn // to be pumped in their turn: bulk, and whom fairness stopped
	setups []*conn // in setup, and something happened to them
	races  uint64  // dials that goroutines took part in
	in     []byte  // what was just read
	out    []byte  // what TLS just wrote

	pulse pulse
	waits int64 // how long the last waits for events were, in the mean; ns

	stats loopStats
}

// side is which of a connection's descriptors an event is for.
type side uint8

const (
	clientSide side = iota
	backendSide
	trySide // and above: the tries of a dial that is under way
)

const (
	eventsPerRun = 256
	setupBudget  = time.Millisecond
	setupLong    = 150 * time.Microsecond
	bulkBudget   = int64(100 * time.Microsecond)
	acceptBudget = 64
)

// run serves until the engine is stopped and the last connection is gone.
func (l *loop) run() {
	runtime.LockOSThread()
	// Never unlocked: the coroutines are tied to this thread, which ends with them.
	defer l.close()
	l.pulse.where = thread.Self()
	events := make([]unix.EpollEvent, eventsPerRun)
	for !l.done() {
		n := l.poll(events)
		began := l.now
		l.pulse.begin(began)
		l.dispatch(events[:n])
		l.again()
		l.expire()
		l.inbox.Run()
		l.evict()
		l.goOnSetups()
		l.acceptAll()
		l.stats.round(began, l.tick())
		l.pulse.rest()
	}
}

// done reports whether the loop has nothing left to do.
func (l *loop) done() bool {
	return l.engine.stopping.Load() && l.stats.open.Load() == 0 && len(l.listen) == 0
}

// tick reads the clock for the round.
func (l *loop) tick() int64 {
	l.now = l.clock()
	return l.now
}

func (l *loop) clock() int64 { return int64(time.Since(l.engine.began)) }

func (l *loop) dispatch(events []unix.EpollEvent) {
	for i := range events {
		ev := &events[i]
		entry := l.poller.For(ev)
		switch {
		case entry == nil: // the descriptor was closed since
		case entry.Owner != nil:
			l.event(entry.Owner, side(entry.Role), ev.Events)
		case ev.Fd == l.inbox.FD():
			l.inbox.Ring()
		default:
			l.listening(ev.Fd)
		}
	}
}

// listening notes that connections wait at the listener whose descriptor is fd.
func (l *loop) listening(fd int32) {
	for _, ln := range l.listen {
		ln.waiting = ln.waiting || ln.fd == fd
	}
}

// event hands one event to its connection.
func (l *loop) event(c *conn, s side, ev uint32) {
	defer c.endOnPanic()
	switch s {
	case clientSide:
		c.client.onEvents(ev)
	case backendSide:
		c.backend.onEvents(ev)
	default:
		c.co.dialing.onEvents(int(s-trySide), ev)
	}
	switch c.phase {
	case relaying:
		l.mute(&c.client)
		l.mute(&c.backend)
		if c.bulk {
			l.later(c)
		} else {
			c.pump()
		}
	case waiting:
		if c.client.readable {
			l.beginSetup(c)
		}
	case settingUp:
		l.wake(c)
	case parting:
		c.part()
	case lingering:
		c.linger()
	case closed:
	}
}

// later asks for a pump of c in its turn.
func (l *loop) later(c *conn) {
	if !c.queued {
		c.queued = true
		l.ready = append(l.ready, c)
	}
}

// wake asks for c's setup to go on in this round or a later one.
func (l *loop) wake(c *conn) {
	if !c.queued {
		c.queued = true
		l.setups = append(l.setups, c)
	}
}

// again pumps those whose turn it is, one after the other, for as long as the round
// has taken so far, and bulkBudget at least. Then events are looked at: a request
// beside bulk waits for that, not for a mebibyte of each transfer.
func (l *loop) again() {
	if len(l.ready) == 0 {
		return
	}
	now := l.clock()
	until := now + max(bulkBudget, now-l.now)
	n := 0
	for n < len(l.ready) && l.clock() < until {
		c := l.ready[n]
		n++
		c.queued = false
		if c.phase == relaying {
			c.pump()
		}
	}
	l.ready = rest(l.ready, n)
}

// goOnSetups resumes setups in the order in which they were woken, until setupBudget is
// used up or one step was long: a handshake's arithmetic takes 300 µs and cannot be
// divided, but of a storm of them a request need not wait for three.
func (l *loop) goOnSetups() {
	if len(l.setups) == 0 {
		return
	}
	n, now, until := 0, l.clock(), l.now+int64(setupBudget)
	for n < len(l.setups) {
		c := l.setups[n]
		n++
		c.queued = false
		if c.phase == settingUp {
			l.resume(c)
		}
		before := now
		if now = l.clock(); now > until || now-before > int64(setupLong) {
			break
		}
	}
	l.setups = rest(l.setups, n)
}

// rest drops the first n of s and keeps its memory.
func rest(s []*conn, n int) []*conn {
	m := copy(s, s[n:])
	clear(s[m:])
	return s[:m]
}

// fire is called for each timer that expires.
func (l *loop) fire(t *timer) {
	c := t.c
	if c != nil {
		defer c.endOnPanic()
	}
	switch {
	case t.kind == timerAccept:
		// The pause is over by itself: acceptAll asks whether its timer is armed.
	case t.kind == timerTicket:
		c.waitedForTicket()
	case t.kind == timerIdle:
		c.visitIdle()
	case c.phase == waiting:
		c.end(HelloTimeout)
	case c.phase == settingUp:
		if t.kind == timerHedge {
			c.co.dialing.hedged = true
		} else {
			c.expired = true
		}
		l.wake(c)
	case c.phase == parting:
		c.part()
	case c.phase == lingering:
		c.close()
	}
}

// forget closes a descriptor of a connection or a listener.
func (l *loop) forget(fd int32) {
	delete(l.bridges, fd)
	l.poller.Forget(fd)
}

// newLoop makes the loop's epoll instance and inbox.
func newLoop(e *Engine) (*loop, error) {
	l := &loop{engine: e, log: e.opts.Log, in: make([]byte, readMost), out: make([]byte, 0, buffer.OutMost)}
	if err := l.poller.Open(); err != nil {
		return nil, err
	}
	l.pipes = buffer.Pipes{Max: int64(max(1, e.opts.MaxPipes/e.opts.Loops)), Open: &l.stats.pipes, Refused: l.notePipe}
	l.setTimeouts(e.opts.Timeouts)
	if e.opts.LoopLog != nil {
		l.log = e.opts.LoopLog()
	}
	if err := l.openInbox(); err != nil {
		l.poller.Close()
		return nil, err
	}
	l.reserve = openReserve()
	return l, nil
}

func (l *loop) openInbox() error {
	if err := l.inbox.Open(); err != nil {
		return err
	}
	return l.poller.Add(l.inbox.FD(), nil, 0, nonblock.Incoming)
}

// close gives back what the loop holds besides connections.
func (l *loop) close() {
	l.coros.close()
	l.pipes.Close()
	if l.reserve >= 0 {
		nonblock.Close(l.reserve)
	}
	l.inbox.Close()
	l.poller.Close()
}
