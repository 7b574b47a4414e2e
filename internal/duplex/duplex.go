// Package duplex joins two connections of any kind by copying. It is for the slow paths: a
// user-space network stack, a forwarder. Package relay moves the gateway's own connections;
// this package keeps the same promises: back-pressure, half-close, and a stream that breaks
// off looks broken to the other side.
package duplex

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Join copies both ways until both directions have ended, and closes a and b. EOF is
// passed on as EOF. Any other end of a direction has cut its stream off: it is passed on
// as a reset, once the receiver has taken the bytes before it. When ctx ends, both are reset at once.
//
// A panic in one of the connections resets both, and comes out of Join when both
// directions have ended: so the caller can recover, whichever goroutine panicked.
func Join(ctx context.Context, a, b net.Conn) {
	j := &joint{a: end{Conn: a}, b: end{Conn: b}}
	stop := context.AfterFunc(ctx, func() {
		Reset(a)
		Reset(b)
	})
	defer stop()
	defer j.close()
	var both sync.WaitGroup
	both.Go(func() { j.guarded(&j.a, &j.b) })
	j.guarded(&j.b, &j.a)
	both.Wait()
	if p := j.panicked.Load(); p != nil {
		panic(*p)
	}
}

// A joint is two connections that are joined.
type joint struct {
	a, b  end
	whole atomic.Int32 // directions that their sender has ended

	panicked atomic.Pointer[string] // what the first panic was, and its stack
}

// end is one of them.
type end struct {
	net.Conn
	writing sync.Mutex // held while it is written to
	broken  bool       // a write has failed because of a reset
}

const (
	// A buffer grows from the least to the most with reads that fill it: a connection that
	// says little holds little.
	bufLeast = 4 << 10
	bufMost  = 64 << 10

	look      = time.Second           // how often a writer that is stuck looks for its sender's end
	visit     = 20 * time.Millisecond // at first; twice as long each time, up to …
	visitLate = 500 * time.Millisecond
	wait      = 10 * time.Second // for what is under way, without progress
)

// close closes the two; an error would only say that one is closed already.
func (j *joint) close() {
	_ = j.a.Close()
	_ = j.b.Close()
}

// guarded is oneWay, and keeps a panic for Join.
func (j *joint) guarded(from, to *end) {
	defer func() {
		if p := recover(); p != nil {
			text := fmt.Sprintf("%v\n%s", p, debug.Stack())
			j.panicked.CompareAndSwap(nil, &text)
			Reset(from.Conn)
			Reset(to.Conn)
		}
	}()
	j.oneWay(from, to)
}

// oneWay moves one direction.
func (j *joint) oneWay(from, to *end) {
	switch move(from, to) {
	case senderEnded:
		j.passEnd(from, to)
	case senderGone:
		j.passReset(to)
	case receiverGone:
		// The other direction reads what it said last, and then that it is gone.
	}
}

// outcome is the reason why a move ended.
type outcome uint8

const (
	senderEnded outcome = iota
	senderGone
	receiverGone
)

func move(from, to *end) outcome {
	buf := make([]byte, bufLeast)
	for {
		n, err := from.Read(buf)
		if n > 0 && !deliver(buf[:n], from, to) {
			return receiverGone
		}
		if n == len(buf) && n < bufMost {
			buf = make([]byte, 4*n)
		}
		switch {
		case err == nil:
		case errors.Is(err, io.EOF) && !from.wasReset():
			return senderEnded
		default:
			return senderGone
		}
	}
}

// deliver writes all of p. A receiver that takes nothing is waited for as long as there
// is a sender; after it, as passReset waits.
func deliver(p []byte, from, to *end) bool {
	var stuck time.Duration
	for len(p) > 0 {
		n, err := to.write(p)
		p = p[n:]
		switch {
		case err == nil:
		case !late(err):
			return false
		case n > 0 || !gone(from.Conn):
			stuck = 0
		default:
			if stuck += look; stuck >= wait {
				Reset(to.Conn)
				return false
			}
		}
	}
	return true
}

// write writes what e takes of p before it is time to look. The kernel reports a
// reset once; a read after that returns EOF. EPIPE is not such a report: it comes of a
// reset behind the FIN that ended e's stream.
func (e *end) write(p []byte) (int, error) {
	e.writing.Lock()
	defer e.writing.Unlock()
	_ = e.SetWriteDeadline(time.Now().Add(look)) // where there is none, it may block
	n, err := e.Write(p)
	e.broken = e.broken || err != nil && !late(err) && !errors.Is(err, syscall.EPIPE)
	return n, err
}

// wasReset reports whether the EOF that was read of e was a reset.
func (e *end) wasReset() bool {
	if !gone(e.Conn) {
		return false
	}
	e.writing.Lock() // a write that is under way fails now
	defer e.writing.Unlock()
	return e.broken
}

func late(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

// passEnd ends the stream towards to. It goes on to watch from: nothing is read from it
// any more, and it may be reset while the other direction is silent.
func (j *joint) passEnd(from, to *end) {
	w, ok := to.Conn.(interface{ CloseWrite() error })
	if !ok { // it knows no half-close
		j.whole.Store(2)
		j.close()
		return
	}
	last := j.whole.Add(1) == 2
	switch err := w.CloseWrite(); {
	case last:
		j.close() // which ends the watch in the other direction
	case err == nil && waitGone(from.Conn):
		j.passReset(to)
	}
}

// passReset resets to when it has acknowledged what was sent before, or acknowledges
// nothing more: a reset takes away what has not arrived.
func (j *joint) passReset(to *end) {
	if j.whole.Load() >= 2 {
		return // closed from here
	}
	last, since, pause := 0, time.Now(), visit
	for left := unsent(to.Conn); left > 0 && !gone(to.Conn); left = unsent(to.Conn) {
		switch {
		case left != last:
			last, since, pause = left, time.Now(), visit
		case time.Since(since) >= wait:
			Reset(to.Conn)
			return
		default:
			pause = min(2*pause, visitLate)
		}
		<-time.After(pause)
	}
	Reset(to.Conn)
}
