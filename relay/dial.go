package relay

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"sallyport/internal/nonblock"
	"sallyport/internal/oneline"
	"sallyport/relay/localport"
)

// dialing is the race for a backend: the candidates in the router's order, the
// next one after the hedge time or at once on failure; the first to connect
// wins, and the others are closed before a byte is sent to them.
type dialing struct {
	tries  [MaxBackends]try
	n      int // begun
	hedge  timer
	hedges int64  // places of Options.MaxHedges that it holds
	hedged bool   // the hedge time has passed
	fault  Reason // why this machine could not even begin a try; goOn: it could
	serial uint64 // which race of the loop this is
	ctx    context.Context
	cancel context.CancelFunc // of the tries on goroutines
}

type try struct {
	end
	began   int64
	state   tryState
	verdict verdict
	secured *tlsSide // if it is encrypted again
}

// verdict is the meaning of a failed try for the instance.
type verdict uint8

const (
	silence  verdict = iota // it did not answer
	refused                 // it is up, and nothing listens on the port
	unproven                // it was reached, and has not proved its identity
	ours                    // this machine could not even try
)

type tryState uint8

const (
	notTried tryState = iota
	connecting
	connected
	failed
)

func (d *dialing) onEvents(i int, ev uint32) {
	t := &d.tries[i]
	t.onEvents(ev)
	switch {
	case t.state != connecting:
	case ev&(unix.EPOLLERR|unix.EPOLLHUP) != 0:
		t.state = failed
		if nonblock.Error(t.fd) == unix.ECONNREFUSED {
			t.verdict = refused
		}
	case ev&unix.EPOLLOUT != 0:
		t.state = connected
	}
}

// dial connects to one of the decision's backends.
func (s *setup) dial() Reason {
	s.until(timerConnect, DialTimeout)
	r := s.race()
	s.settle(r == goOn || r == DialFailed || r == DialTimeout || r == AttestationFailed)
	return r
}

func (s *setup) race() Reason {
	d, candidates := &s.dialing, s.decision.N
	s.tryNext()
	for {
		pending := 0
		for i := range d.n {
			switch d.tries[i].state {
			case connected:
				s.won(i)
				return goOn
			case connecting:
				pending++
			case failed:
				s.giveUp(i)
			case notTried:
			}
		}
		switch {
		case d.n < candidates && (pending == 0 || d.hedged && s.mayHedge()):
			s.tryNext()
			continue
		case pending == 0 && d.fault != goOn:
			return d.fault
		case pending == 0:
			return s.unproven(DialFailed)
		}
		if r := s.wait(); r == DialTimeout {
			return s.unproven(r)
		} else if r != goOn {
			return r
		}
		if s.c.client.reset {
			return ClientReset // nobody is waiting any more
		}
	}
}

// mayHedge takes a place for a try beside another. Without one the race goes on with
// what is under way.
func (s *setup) mayHedge() bool {
	e, d := s.l.engine, &s.dialing
	if e.hedges.Add(1) > int64(e.opts.MaxHedges) {
		e.hedges.Add(-1)
		s.l.stats.unhedged.Add(1)
		d.hedged = false
		return false
	}
	d.hedges++
	return true
}

// giveUp gives back the descriptor of a try that has failed.
func (s *setup) giveUp(i int) {
	if t := &s.dialing.tries[i]; t.fd >= 0 {
		s.l.forget(t.fd)
		t.fd = -1
	}
}

// tryNext begins to dial the next candidate.
func (s *setup) tryNext() {
	d := &s.dialing
	i := d.n
	t := &d.tries[i]
	d.n, d.hedged = i+1, false
	t.began, t.state, t.fd = s.l.now, connecting, -1
	s.l.arm(&d.hedge, timerHedge)
	d.hedge.c = s.c
	b := &s.decision.Backends[i]
	to, elsewhere := b.Addr, s.l.engine.opts.Dial
	switch {
	case b.TLS != nil:
		s.dialTLS(i)
		return
	case b.Dial != nil:
		s.dialElsewhere(i, b.Dial)
		return
	case elsewhere != nil:
		s.dialElsewhere(i, func(ctx context.Context) (net.Conn, error) { return elsewhere(ctx, to) })
		return
	}
	fd, err := s.l.connect(to)
	if err == nil {
		t.fd = fd
		err = s.l.poller.Add(fd, s.c, uint8(trySide)+uint8(i), nonblock.Both)
	}
	if err != nil {
		t.state, t.verdict = failed, ours
		if s.noteFault(to, err) != NoLocalPort {
			s.l.engine.warnDial(to, err)
		}
	}
}

// noteFault notes why a try could not even begin.
func (s *setup) noteFault(to netip.AddrPort, err error) Reason {
	r := fault(err)
	if s.dialing.fault == goOn {
		s.dialing.fault = r
	}
	if r == NoLocalPort {
		s.l.engine.warnPorts(to)
	}
	return r
}

// fault returns the reason of this machine's own that kept a try from beginning; goOn:
// none that is known.
func fault(err error) Reason {
	switch {
	case errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE):
		return Descriptor
	case errors.Is(err, errPanic):
		return Internal
	case errors.Is(err, errNoWay):
		return NoTunnel
	case localport.Taken(err):
		return NoLocalPort
	}
	return goOn
}

// connect begins a connection to a backend.
func (l *loop) connect(to netip.AddrPort) (fd int32, err error) {
	err = l.engine.ports.Try(to, func(port uint16) error {
		fd, err = l.connectFrom(port, to)
		return err
	})
	return fd, err
}

func (l *loop) connectFrom(port uint16, to netip.AddrPort) (int32, error) {
	family := unix.AF_INET6
	if to.Addr().Unmap().Is4() {
		family = unix.AF_INET
	}
	s, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, unix.IPPROTO_TCP)
	if err != nil {
		return -1, err
	}
	fd := int32(s)
	if err := oneline.Join(l.engine.bind(s), comeFrom(fd, to, port)); err != nil {
		nonblock.Close(fd)
		return -1, err
	}
	l.engine.limitMSS(fd)
	nonblock.SetInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	if errno := nonblock.Connect(fd, to); errno != 0 && errno != unix.EINPROGRESS {
		nonblock.Close(fd)
		return -1, errno
	}
	return fd, nil
}

func (e *Engine) limitMSS(fd int32) {
	if mss := e.opts.BackendMSS; mss > 0 {
		nonblock.SetInt(fd, unix.IPPROTO_TCP, unix.TCP_MAXSEG, mss)
	}
}

// won makes try i the connection's backend.
func (s *setup) won(i int) {
	c, t, b := s.c, &s.dialing.tries[i], &s.decision.Backends[i]
	c.backend, c.watch, s.chosen, s.instance = t.end, b.Watch, b, t.secured
	s.l.poller.Of(t.fd).Role = uint8(backendSide)
	t.fd = -1
	if c.log != nil {
		c.log.instance = b.Name
	}
	if b.Watch != nil {
		s.l.evictions.enter(c)
		b.Watch.Opened()
	}
}

// settle ends the race: it closes the losers and reports their outcome to the
// candidates. With judge false the race was called off, and none is blamed.
func (s *setup) settle(judge bool) {
	d, l := &s.dialing, s.l
	winner := -1
	for i := range d.n {
		t := &d.tries[i]
		switch {
		case t.state == connected && t.fd < 0:
			winner = i
		case t.fd >= 0:
			l.reset(&t.end) // it has got nothing of the client's
		}
	}
	for i := range d.n {
		t, b := &d.tries[i], &s.decision.Backends[i]
		won := i == winner
		if !won && (!judge || !t.blamed(i, winner)) {
			continue
		}
		l.engine.metrics.dialled(time.Duration(l.now-t.began), won)
		if b.Watch != nil {
			b.Watch.Dialled(b.Addr.Port(), won)
		}
	}
	d.n = 0
	l.engine.hedges.Add(-d.hedges)
	d.hedges = 0
	l.stop(&d.hedge)
	if d.cancel != nil {
		d.cancel()
		d.cancel = nil
	}
}

// blamed reports whether try i speaks against its instance. Silence does, if the
// try had more time than the winner, or there was no winner. A refused port does only if
// another instance took the connection: the client chooses the port, and could
// otherwise have every instance of an app put aside. So it is with a port on which
// the instance does not prove itself; one that is still at it is only slow.
func (t *try) blamed(i, winner int) bool {
	switch t.verdict {
	case refused:
		return winner >= 0
	case unproven:
		return winner >= 0 && (t.state == failed || i < winner)
	case ours:
		return false
	case silence:
	}
	return winner < 0 || i < winner
}
