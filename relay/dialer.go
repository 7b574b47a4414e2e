package relay

import (
	"context"
	"errors"
	"net"

	"sallyport/internal/nonblock"
)

// Dialling where no kernel route leads: Options.Dial or a Backend's own runs on a
// goroutine, and the loop gets a bridge to the connection (bridge.go). So there is one
// engine, whatever network stack is behind it.

// dialElsewhere begins try i on a goroutine.
func (s *setup) dialElsewhere(i int, dial func(context.Context) (net.Conn, error)) {
	l := s.l
	s.tryOnGoroutine(i, func(ctx context.Context, _ func(func(*try))) (dialled, error) {
		remote, err := dial(ctx)
		if err != nil {
			return dialled{}, err
		}
		return l.handOver(remote)
	})
}

// dialled is the result of a goroutine's dial for a try: a descriptor for the loop, the
// bridge that it belongs to, if it is not a connection by itself, and the TLS on it, if it
// is encrypted again.
type dialled struct {
	fd     int32
	bridge *bridge
	tls    *tlsSide
}

// abandon closes a connection that is no longer wanted.
func (d dialled) abandon() {
	if d.bridge != nil {
		d.bridge.abandon()
		return
	}
	nonblock.ResetOnClose(d.fd)
	nonblock.Close(d.fd)
}

// tryOnGoroutine calls f, which dials for try i, on a goroutine. Meanwhile f may report its
// progress to the try; a report is dropped if the race is over.
func (s *setup) tryOnGoroutine(i int, f func(ctx context.Context, tell func(func(*try))) (dialled, error)) {
	d, l, c, e := &s.dialing, s.l, s.c, s.l.engine
	if d.cancel == nil {
		l.races++
		d.serial = l.races
		d.ctx, d.cancel = context.WithCancel(e.aborted)
	}
	serial, ctx := d.serial, d.ctx
	// racing is the setup whose race still runs: it may be over, and the coroutine busy
	// with another connection.
	racing := func() *setup {
		if co := c.co; co != nil && co.c == c && co.dialing.serial == serial && co.dialing.n > i {
			return &co.setup
		}
		return nil
	}
	tell := func(note func(*try)) {
		l.inbox.Post(func() {
			if s := racing(); s != nil {
				note(&s.dialing.tries[i])
			}
		})
	}
	e.background.Go(func() {
		got, err := e.reaching(func() (dialled, error) { return f(ctx, tell) })
		delivered := l.inbox.Post(func() {
			if s := racing(); s != nil {
				s.dialed(i, got, err)
			} else if err == nil {
				got.abandon()
			}
		})
		if !delivered && err == nil {
			got.abandon()
		}
	})
}

// dialed takes over what a goroutine dialled.
func (s *setup) dialed(i int, got dialled, err error) {
	t := &s.dialing.tries[i]
	if err == nil {
		t.fd, t.secured = got.fd, got.tls
		err = s.l.poller.Add(got.fd, s.c, uint8(trySide)+uint8(i), nonblock.Both)
		s.l.cross(got.bridge, &t.end)
	}
	if err != nil {
		t.state, t.verdict = failed, judge(err)
		if t.verdict == ours {
			s.noteFault(s.decision.Backends[i].Addr, err)
		}
		s.logUnproven(i, err)
	} else {
		t.state = connected
	}
	s.l.wake(s.c)
}

// judge returns what the error of a goroutine's dial says about the instance. Stacks in
// user space have their own errors for a refused port, but all of them report timeouts.
func judge(err error) verdict {
	var late net.Error
	switch {
	case errors.Is(err, errUnproven):
		return unproven
	case errors.As(err, &late) && late.Timeout() || errors.Is(err, context.Canceled):
		return silence
	case fault(err) != goOn:
		return ours
	}
	return refused
}
