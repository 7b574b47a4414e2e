package load

import (
	"fmt"
	"net/netip"
	"sync/atomic"
	"time"

	"sallyport/bench/sock"
)

// A loop is one thread with its share of the connections. Everything in it belongs
// to that thread, except phases and counters.
type loop struct {
	opts   *Options
	to     netip.AddrPort
	hello  []byte // recorded, when no TLS is spoken
	share  share
	poller *sock.Poller[*conn]
	groups []*group
	tls    tlsMaker
	buf    []byte // what is read
	cipher []byte // the same before it is decrypted
	zeros  []byte // what is sent in bulk
	again  []*conn
	failed error // why the run makes no sense

	began    time.Time // of the run: the origin of all times
	phase    *phases
	counters counters
	main     Histogram
	unended  uint64 // operations that were due and had not ended at the end
	failures tally
	settled  bool
}

// A share is a loop's part of the run.
type share struct {
	connections, bulk int
	rate, bulkRate    float64
}

// phases are the times of a run, in ns since it began; 0 is not yet. The
// coordinator (run.go) sets them.
type phases struct {
	start atomic.Int64 // requests may begin
	from  atomic.Int64 // operations count …
	until atomic.Int64 // … up to here
	stop  atomic.Bool  // everything is to be closed
	want  atomic.Int64 // of the Idle connections, in percent
}

// counters are written by the loop alone, and read by the coordinator.
type counters struct {
	operations, bytes, errors, handshakes, resumed atomic.Uint64
	open                                           atomic.Int64
}

const (
	readSize = 128 << 10
	// turn is how much a connection may move before others have theirs. With 1 MiB a
	// request beside 16 downloads waited for milliseconds of the generator's own.
	turn = 128 << 10
	// opening is how many connections a loop makes at the same time.
	opening = 128
	// tolerated failures in a row; then the run ends.
	tolerated = 100
)

// run works until the end of the run.
func (l *loop) run(cpu int) error {
	if err := sock.Pin(cpu); err != nil {
		return err
	}
	defer l.closeAll()
	for l.failed == nil && !l.phase.stop.Load() {
		now := l.now()
		next := l.phase.until.Load()
		if next != 0 && now >= next {
			l.settle()
			next = 0
		}
		for _, g := range l.groups {
			g.open()
			if at := g.begin(now); at != 0 && (next == 0 || at < next) {
				next = at
			}
		}
		l.poller.Wait(l.timeout(next), l.event)
		again := l.again
		l.again = nil
		for _, c := range again {
			c.queued = false
			c.pump()
		}
	}
	l.settle()
	return l.failed
}

// settle counts, once, what has not ended when the counting does. The loop goes on
// after that: closing thousands of connections would cost the target CPU time before the
// coordinator has read its clock.
func (l *loop) settle() {
	until := l.phase.until.Load()
	if l.settled || until == 0 || l.failed != nil {
		return
	}
	l.settled = true
	for _, g := range l.groups {
		g.settle(until)
	}
}

func (l *loop) now() int64 { return int64(time.Since(l.began)) }

// timeout is how long the loop may wait if something is to be done at next.
func (l *loop) timeout(next int64) time.Duration {
	switch {
	case len(l.again) > 0:
		return 0
	case next == 0:
		return sock.Forever // the coordinator wakes
	}
	return time.Duration(max(next-l.now(), 0))
}

func (l *loop) event(c *conn, events uint32) {
	c.readable = c.readable || events&(sock.Readable|sock.Hangup) != 0
	c.writable = c.writable || events&(sock.Writable|sock.Hangup) != 0
	c.hangup = c.hangup || events&sock.Hangup != 0
	c.pump()
}

// later asks for another pump of c in the next round.
func (l *loop) later(c *conn) {
	if !c.queued {
		c.queued = true
		l.again = append(l.again, c)
	}
}

// counting reports whether what ends now counts.
func (l *loop) counting(now int64) bool {
	from, until := l.phase.from.Load(), l.phase.until.Load()
	return from != 0 && now >= from && now < until && !l.settled
}

// record counts an operation that was meant to start at began.
func (l *loop) record(began, now int64) {
	l.counters.operations.Add(1)
	if l.counting(now) {
		l.main.Record(time.Duration(now - began))
	}
}

// fail counts an error of a connection. Many without one success, or any before
// the start, end the run; the latter even if it endures the former.
func (l *loop) fail(g *group, err error) {
	l.counters.errors.Add(1)
	l.failures.add(Failure{kindOf(err), 1, err.Error()})
	g.failures++
	switch {
	case l.phase.start.Load() == 0:
		l.failed = fmt.Errorf("%s: %w", l.to, err)
	case l.opts.Endure:
	case g.failures > tolerated:
		l.failed = fmt.Errorf("%s: %d failures in a row (%s), the last: %w", l.to, g.failures, l.failures, err)
	}
}

func (l *loop) closeAll() {
	for _, g := range l.groups {
		for c := range g.conns {
			g.drop(c)
		}
	}
}
