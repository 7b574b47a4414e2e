package relay

import "context"

// decideLater runs a decision that has to wait for somebody (a DNS server) on a
// goroutine, never on the loop's thread.
func (s *setup) decideLater() Reason {
	l, c, e := s.l, s.c, s.l.engine
	s.until(timerConnect, LookupFailed)
	ctx, cancel := context.WithCancel(e.aborted)
	defer cancel()
	l.races++
	s.lookup = l.races
	serial, later := s.lookup, s.decision.Later
	e.background.Go(func() {
		d := e.decide(ctx, later)
		l.inbox.Post(func() {
			// The setup may be over, and the coroutine busy with another connection.
			if co := c.co; co != nil && co.c == c && co.lookup == serial {
				co.decision, co.lookup = d, 0
				l.wake(c)
			}
		})
	})
	for s.lookup != 0 {
		if r := s.wait(); r != goOn {
			s.lookup = 0
			return r
		}
		if c.client.reset {
			return ClientReset
		}
	}
	return goOn
}
