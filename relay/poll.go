package relay

import (
	"time"

	"golang.org/x/sys/unix"
)

// A loop waits for events in one of two ways.
//
// The Go scheduler takes the P of a loop that announces its wait, at once, as a loop is
// one goroutine that never ends: it counts as having run for too long (retake in Go's
// runtime/proc.go). When the wait ends, its monitor is woken, and looks every 20 µs
// whether there is a P to take. With 16 downloads at 50 MB/s each, 540 waits a second
// came with 1,500 sleeps of the monitor and 1,850 context switches, for a tenth of the
// CPU time; with 2,000 requests a second it was a third, with 300 nearly a half.
//
// So while events come often, a loop waits without telling anybody. It keeps its P
// meanwhile, so there has to be one more for each loop than the program has CPUs. The
// garbage collector need not wait for it: the signal that asks a goroutine to stop ends
// an epoll_wait too, which is never restarted (signal(7)).

const (
	// quietWait is how long a loop may wait without telling: as long as the scheduler
	// leaves the P to other system calls.
	quietWait = 10 * time.Millisecond
	// Events come often if the mean of the last waits is below often. Where they do not,
	// the monitor, who looks as long as a P is held, costs more than it does otherwise:
	// with 20 requests a second, of some short waits and a long one each, twice as much.
	often = quietWait / 2
	// A wait counts for no more than longWait, so that events which begin to come often
	// are known after some 20 waits.
	longWait = 8 * often
)

// poll waits for events and reads the clock.
func (l *loop) poll(events []unix.EpollEvent) int {
	since := l.now
	n := l.poller.Look(events, l.quietly())
	if n == 0 && !l.busy() {
		l.tick()
		n, _ = unix.EpollWait(l.poller.FD(), events, l.nextTimeout())
	}
	waited := min(l.tick()-since, int64(longWait))
	l.waits += (waited - l.waits) / 8
	return max(n, 0)
}

// quietly is for how many milliseconds to wait without telling.
func (l *loop) quietly() int {
	if l.waits > int64(often) || l.busy() {
		return 0
	}
	const most = int(quietWait / time.Millisecond)
	if due := l.nextTimeout(); due >= 0 {
		return min(due, most)
	}
	return most
}

// busy reports whether work is left over from the last round.
func (l *loop) busy() bool {
	return len(l.ready) > 0 || len(l.setups) > 0 || l.acceptLeft() || l.evictions.evicting()
}
