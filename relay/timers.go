package relay

import "time"

// Timers. Every kind of timeout has one constant duration, so that a list in
// order of arming is a list in order of expiry: arming, stopping and expiring
// are O(1), and no tree or wheel is needed. The idle timer is no different (idle.go).

type timerKind uint8

const (
	timerHello     timerKind = iota // first byte to the end of the ClientHello
	timerHandshake                  // TLS handshake
	timerConnect                    // dialling, all tries together
	timerHedge                      // until the next candidate is tried as well
	timerTicket                     // until a client that is silent gets its ticket
	timerIdle                       // visit of an idle check, not the idle time itself
	timerPart                       // visit of a connection that is over and not acknowledged
	timerPartLate                   // the same, when it has not been for a while
	timerLinger                     // a refused client may read its alert
	timerAccept                     // pause after descriptors ran out
	timerKinds
)

const (
	lingerTime  = 2 * time.Second
	acceptPause = 100 * time.Millisecond
)

// timer is one entry of a timerList; its owner embeds it. Zero value: not armed.
type timer struct {
	next, prev *timer
	deadline   int64 // on the loop's clock
	c          *conn // nil: belongs to the loop
	kind       timerKind
	armed      bool
}

type timerList struct {
	head, tail *timer
	after      int64 // ns; 0: this kind never expires
}

// arm puts t at the end of its kind's list, after taking it from where it was.
func (l *loop) arm(t *timer, kind timerKind) {
	l.stop(t)
	list := &l.timers[kind]
	if list.after == 0 {
		return
	}
	t.kind, t.armed, t.deadline = kind, true, l.now+list.after
	t.prev, t.next = list.tail, nil
	if list.tail != nil {
		list.tail.next = t
	} else {
		list.head = t
	}
	list.tail = t
}

func (l *loop) stop(t *timer) {
	if !t.armed {
		return
	}
	list := &l.timers[t.kind]
	if t.prev != nil {
		t.prev.next = t.next
	} else {
		list.head = t.next
	}
	if t.next != nil {
		t.next.prev = t.prev
	} else {
		list.tail = t.prev
	}
	t.next, t.prev, t.armed = nil, nil, false
}

// expireBudget is how many timers of a kind a round fires: clients choose when they come,
// and so when their time is over, thousands at once. Firing one takes up to 20 µs.
const expireBudget = 64

// expire fires timers whose deadline has passed.
func (l *loop) expire() {
	for kind := range l.timers {
		list := &l.timers[kind]
		for n := 0; n < expireBudget && list.head != nil && list.head.deadline <= l.now; n++ {
			t := list.head
			l.stop(t)
			l.fire(t)
		}
	}
}

// nextTimeout is how long epoll may wait, in milliseconds; -1 is for ever.
func (l *loop) nextTimeout() int {
	next := int64(-1)
	for kind := range l.timers {
		if head := l.timers[kind].head; head != nil && (next < 0 || head.deadline < next) {
			next = head.deadline
		}
	}
	switch {
	case next < 0:
		return -1
	case next <= l.now: // the last round had no time for it
		return 0
	}
	// Rounded up: waking a millisecond early would only go round once more.
	return int((next-l.now)/int64(time.Millisecond)) + 1
}

func (l *loop) setTimeouts(t Timeouts) {
	for kind, d := range map[timerKind]time.Duration{
		timerHello:     t.Hello,
		timerHandshake: t.Handshake,
		timerConnect:   t.Connect,
		timerHedge:     t.Hedge,
		timerTicket:    min(ticketWait, idleVisitEvery(t.Idle)),
		timerIdle:      idleVisitEvery(t.Idle),
		timerPart:      partVisit,
		timerPartLate:  partLate,
		timerLinger:    lingerTime,
		timerAccept:    acceptPause,
	} {
		l.timers[kind].after = int64(d)
	}
}
