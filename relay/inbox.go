package relay

import (
	"encoding/binary"
	"sync"

	"golang.org/x/sys/unix"
)

// inbox is the one way into a loop from other goroutines: a list of functions
// that the loop's thread runs, and an eventfd that wakes it.
type inbox struct {
	fd   int32
	rung bool // the loop's thread saw the eventfd ring

	mu     sync.Mutex // guards what follows; held for a few instructions only
	list   []func()
	closed bool
}

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
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return false
	}
	b.list = append(b.list, f)
	if len(b.list) == 1 {
		var one [8]byte
		binary.NativeEndian.PutUint64(one[:], 1)
		// It neither waits nor fails: the counter would have to overflow first. Under
		// the lock, because outside it close could give the descriptor to another.
		_, _ = unix.Write(int(b.fd), one[:])
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
	for _, f := range l.inbox.take(false) {
		f()
	}
}

func (b *inbox) take(last bool) []func() {
	b.mu.Lock()
	defer b.mu.Unlock()
	list := b.list
	b.list = nil
	b.closed = b.closed || last
	return list
}

// close runs what was posted last, so that nothing handed over is lost.
func (b *inbox) close() {
	for _, f := range b.take(true) {
		f()
	}
	closeFD(b.fd)
}
