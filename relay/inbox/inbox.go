// Package inbox is the one way into a loop from other goroutines: a list of functions that
// the loop's thread runs, and a bell that wakes it.
//
// It has no lock. A goroutine that held one while it wakes the loop, and whose thread does
// not run just then, would stop the loop for as long.
package inbox

import (
	"runtime"
	"sync/atomic"

	"sallyport/internal/nonblock"
)

// An Inbox is what other goroutines want a loop's thread to run. Post and Empty may be
// called by any goroutine, the other methods by the loop's thread alone.
type Inbox struct {
	bell nonblock.Bell // rings when something was posted
	rung bool          // the loop saw that it did

	last    atomic.Pointer[message] // the latest that was posted; &noMore after Close
	posting atomic.Int32            // goroutines in Post: the bell stays open for them
}

type message struct {
	f      func()
	before *message
}

// noMore is the last message of an inbox that is closed.
var noMore message

// Empty reports whether nothing waits to be run. Any goroutine may call it.
func (b *Inbox) Empty() bool { return b.last.Load() == nil }

// Open makes the bell.
func (b *Inbox) Open() (err error) {
	b.bell, err = nonblock.NewBell()
	return err
}

// FD returns the bell's descriptor, to be added to a Poller with the events Incoming.
func (b *Inbox) FD() int32 { return b.bell.FD() }

// Post reports whether the loop's thread will run f, soon. If it reports false, the loop has
// ended, and what f was to take over is still the caller's.
func (b *Inbox) Post(f func()) bool {
	b.posting.Add(1)
	defer b.posting.Add(-1)
	m := &message{f: f}
	var before *message
	for pushed := false; !pushed; pushed = b.last.CompareAndSwap(before, m) {
		if before = b.last.Load(); before == &noMore {
			return false
		}
		m.before = before
	}
	if before == nil { // else somebody wakes the loop already
		b.bell.Ring()
	}
	return true
}

// Ring notes that the bell was heard.
func (b *Inbox) Ring() { b.rung = true }

// Run runs what was posted before the last Ring.
func (b *Inbox) Run() {
	if !b.rung {
		return
	}
	b.rung = false
	b.bell.Silence()
	b.last.Swap(nil).run()
}

// run runs the functions in the order in which they were posted.
func (m *message) run() {
	var first *message
	for m != nil {
		m, m.before, first = m.before, first, m
	}
	for m = first; m != nil; m = m.before {
		m.f()
	}
}

// Close runs what was posted last, so that nothing handed over is lost, and closes the
// bell.
func (b *Inbox) Close() {
	b.last.Swap(&noMore).run()
	for b.posting.Load() > 0 {
		runtime.Gosched()
	}
	b.bell.Close()
}
