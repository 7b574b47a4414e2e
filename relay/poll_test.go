package relay

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A loop waits without telling the scheduler only while events come often, and no longer
// than its next timer and than other system calls may.
func TestLoopWaitsQuietlyWhileEventsComeOften(t *testing.T) {
	l := testLoop(t)
	events := make([]unix.EpollEvent, eventsPerRun)
	// waited has the loop see an event that it waited for since then.
	waited := func(d time.Duration) int {
		t.Helper()
		l.inbox.Post(func() {})
		l.now = l.clock() - int64(d)
		n := l.poll(events)
		if n != 1 {
			t.Fatalf("%d events, want the inbox's", n)
		}
		l.dispatch(events[:n])
		l.inbox.Run()
		return l.quietly()
	}
	// until counts the waits of this length until the loop waits for so many milliseconds.
	until := func(want int, d time.Duration) (n int) {
		for n = 1; waited(d) != want; n++ {
			if n == 100 {
				t.Fatalf("after %d waits of %v the loop waits %d ms, want %d", n, d, l.quietly(), want)
			}
		}
		return n
	}
	const most = int(quietWait / time.Millisecond)
	until(0, time.Hour)
	if n := until(most, 0); n > 10 {
		t.Errorf("events came often after %d short waits", n)
	}
	for range 100 {
		waited(time.Hour)
	}
	if n := until(most, 0); n < 10 || n > 30 {
		t.Errorf("after long waits events came often after %d short ones", n)
	}
	if n := until(0, time.Hour); n > 2 {
		t.Errorf("they still came often after %d long waits", n)
	}
	until(most, 0)
	l.later(&conn{})
	if got := l.quietly(); got != 0 {
		t.Errorf("with work left over %d ms", got)
	}
}
