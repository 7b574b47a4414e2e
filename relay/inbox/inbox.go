// Package inbox is the one way into a loop from other goroutines: a list of functions that
// the loop's thread runs, and a descriptor (eventfd) that wakes it.
//
// It has no lock. A goroutine that held one while it wakes the loop, and whose thread does
// not run just then, would stop the loop for as long.
package inbox

import (
	"encoding/binary"
	"runtime"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// An Inbox is what other goroutines want a loop's thread to run. Post and Empty may be
// called by any goroutine, the other methods by the loop's thread alone.
type Inbox struct {
	fd   int32 // readable when something was posted
	rung bool  // the loop saw that it was

	last    atomic.Pointer[message] // the latest that was posted; &noMore after Close
	posting atomic.Int32            // goroutines in Post: fd stays open for them
}

type message struct {
	f      func()
	before *message
}

// noMore is the last message of an inbox that is closed.
var noMore message

// Empty reports whether nothing waits to be run. Any goroutine may call it.
func (b *Inbox) Empty() bool { return b.last.Load() == nil }

// Open makes the descriptor, which epoll is to watch (EPOLLIN, edge-triggered).
func (b *Inbox) Open() error {
	fd, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	b.fd = int32(fd)
	return err
}

// FD returns the descriptor.
func (b *Inbox) FD() int32 { return b.fd }

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
		var one [8]byte
		binary.NativeEndian.PutUint64(one[:], 1)
		_, _ = unix.Write(int(b.fd), one[:]) // it neither waits nor fails: the counter would have to overflow first
	}
	return true
}

// Ring notes that the descriptor was readable.
func (b *Inbox) Ring() { b.rung = true }

// Run runs what was posted before the last Ring.
func (b *Inbox) Run() {
	if !b.rung {
		return
	}
	b.rung = false
	var count [8]byte
	_, _ = unix.Read(int(b.fd), count[:])
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
// descriptor.
func (b *Inbox) Close() {
	b.last.Swap(&noMore).run()
	for b.posting.Load() > 0 {
		runtime.Gosched()
	}
	_ = unix.Close(int(b.fd))
}
