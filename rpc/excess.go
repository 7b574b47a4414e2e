package rpc

import (
	"net/netip"
	"sync"
	"time"
)

// A handshake costs some 0.8 ms of a processor before anybody knows whose it is, and the
// pace of calls does not bound it: a closed client comes again at once. So a connection whose
// certificate is beyond its pace is not closed but held, unread, until its turn comes. As
// many as come in maxCallWait are held; what is beyond that is closed, and slows its address
// down: the next connections from there are held before their handshake. Several guests may
// share an address: none of them is refused for it, and none waits longer than slowDelay.
const (
	slowInterval = 20 * time.Millisecond // between handshakes of a slow address
	slowDelay    = 2 * time.Second       // a guest waits 5 s for a handshake
	slowFor      = time.Minute           // after the last excess
	maxSlow      = 1024                  // addresses
)

// excess paces the handshakes of each certificate, and says which addresses are slow.
type excess struct {
	pace *pace

	mu   sync.Mutex // guards what follows; held for a map access, seldom for a walk
	slow map[netip.Prefix]*slowed
}

type slowed struct {
	until time.Time
	next  time.Time // when the next handshake may begin
}

func newExcess() *excess { return &excess{pace: newPace(), slow: make(map[netip.Prefix]*slowed)} }

// take counts a handshake of a certificate from source, and returns how long its
// connection is to be held; it is one too many if ok is false.
func (e *excess) take(source netip.Prefix, who any, now time.Time) (wait time.Duration, ok bool) {
	if wait, ok = e.pace.take(who, now); !ok {
		e.note(source, now)
	}
	return wait, ok
}

// note makes source slow.
func (e *excess) note(source netip.Prefix, now time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	s := e.slow[source]
	if s == nil {
		if len(e.slow) >= maxSlow {
			for a, old := range e.slow {
				if now.After(old.until) {
					delete(e.slow, a)
				}
			}
		}
		if len(e.slow) >= maxSlow { // the turns of handshakes are fair without it
			return
		}
		s = &slowed{next: now}
		e.slow[source] = s
	}
	s.until = now.Add(slowFor)
}

// delay counts a connection from source, and returns how long it is not to be read.
func (e *excess) delay(source netip.Prefix, now time.Time) time.Duration {
	e.mu.Lock()
	defer e.mu.Unlock()
	s := e.slow[source]
	if s == nil {
		return 0
	}
	if now.After(s.until) {
		delete(e.slow, source)
		return 0
	}
	if s.next.Before(now) {
		s.next = now
	}
	wait := min(s.next.Sub(now), slowDelay)
	s.next = now.Add(wait + slowInterval)
	return wait
}
