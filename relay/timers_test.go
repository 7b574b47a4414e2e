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
