package relay

import "testing"

// Clients that came at one moment are over at one moment.
func TestTimersFireInTurns(t *testing.T) {
	l := testLoop(t)
	const n = expireBudget + 10
	for range n {
		c, _, _ := watchedPassing(t, l)
		l.arm(&c.timer, timerAccept) // its firing does nothing
	}
	armed := func() (left int) {
		for t := l.timers[timerAccept].head; t != nil; t = t.next {
			left++
		}
		return left
	}
	l.now += int64(acceptPause) - 1
	if l.expire(); armed() != n || l.nextTimeout() != 1 {
		t.Errorf("before their time: %d timers are armed, and the loop waits for %d ms", armed(), l.nextTimeout())
	}
	l.now++
	for _, want := range []int{n - expireBudget, 0} {
		if l.expire(); armed() != want {
			t.Errorf("%d timers are left, want %d", armed(), want)
		}
		if want > 0 && l.nextTimeout() != 0 {
			t.Errorf("the loop waits for %d ms though timers are due", l.nextTimeout())
		}
	}
}

func TestTimersFireInOrderAndOnce(t *testing.T) {
	l := testLoop(t)
	l.timers[timerLinger].after = 100
	l.timers[timerHello].after = 50
	closed := func(name string) *conn {
		c := &conn{loop: l, phase: closed}
		c.timer.c = c
		return c
	}
	a, b, c := closed("a"), closed("b"), closed("c")
	l.arm(&a.timer, timerLinger) // at 100
	l.now = 10
	l.arm(&b.timer, timerLinger) // at 110
	l.arm(&c.timer, timerHello)  // at 60
	l.stop(&a.timer)
	if got := l.timers[timerLinger].head; got != &b.timer {
		t.Error("stopping the first left the list broken")
	}
	l.arm(&a.timer, timerLinger) // at 110, behind b
	l.now = 60
	l.expire()
	if c.timer.armed || !a.timer.armed || !b.timer.armed {
		t.Error("at 60 only the hello timer is due")
	}
	l.now = 110
	l.expire()
	if a.timer.armed || b.timer.armed || l.nextTimeout() != -1 {
		t.Error("at 110 all timers are due")
	}
}
