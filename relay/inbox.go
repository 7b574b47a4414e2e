package relay

import (
	"encoding/binary"
	"runtime"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// inbox is the one way into a loop from other goroutines: a list of functions
// that the loop's thread runs, and an eventfd that wakes it.
//
// It has no lock: a goroutine that held one while it wakes the loop, and whose thread is
// not running just then, would stop the loop for as long.
type inbox struct {
	fd   int32
	rung bool // the loop's thread saw the eventfd ring

	last    atomic.Pointer[message] // the latest that was posted; &noMore after the end
	posting atomic.Int32            // goroutines in post: fd stays open for them
}

type message struct {
	f      func()
	before *message
}

// noMore stands in an inbox that is closed.
var noMore message

func (b *inbox) open(l *loop) error {
	fd, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		return err
	}
	b.fd = int32(fd)
	return l.watch(b.fd, slot{}, unix.EPOLLIN|unix.EPOLLET&0xffffffff)
}

// post has the loop's thread run f soon. False means that the loop has ended and
// f will not run: what f was to take over is still the caller's.
func (b *inbox) post(f func()) bool {
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

// readInbox runs what was posted.
func (l *loop) readInbox() {
	if !l.inbox.rung {
		return
	}
	l.inbox.rung = false
	var count [8]byte
	_, _ = unix.Read(int(l.inbox.fd), count[:])
	l.inbox.last.Swap(nil).run()
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

// close runs what was posted last, so that nothing handed over is lost.
func (b *inbox) close() {
	b.last.Swap(&noMore).run()
	for b.posting.Load() > 0 {
		runtime.Gosched()
	}
	closeFD(b.fd)
}
