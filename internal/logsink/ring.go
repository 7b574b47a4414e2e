package logsink

import "sync/atomic"

// A ring has room for ringLines lines of ringBytes together. That is what is logged
// in the time for which a reader may be slow, and what a reader that has stopped
// costs. A power of two.
const (
	ringLines = 2048
	ringBytes = 1 << 20
)

// ring is a bounded queue of lines (D. Vyukov's bounded queue): any number of
// goroutines put, one takes, and nobody waits for another. A slot's turn says whose it
// is: the position that it is free for, or one more when the line is there.
type ring struct {
	dropped atomic.Uint64 // lines for which there was no room
	bytes   atomic.Int64  // in the slots
	tail    atomic.Uint64 // the position to fill next
	head    uint64        // the position to take next; the taker's
	slots   [ringLines]ringSlot
}

type ringSlot struct {
	turn atomic.Uint64
	line line
}

// line is one rendered record.
type line struct {
	text []byte // with its newline
	at   int64  // of the record, in ns since 1970: lines of several rings are put in order
}

func newRing() *ring {
	r := &ring{}
	for i := range r.slots {
		r.slots[i].turn.Store(uint64(i))
	}
	return r
}

// put adds l, which it keeps, or counts it as dropped.
func (r *ring) put(l line) {
	if !r.tryPut(l) {
		r.dropped.Add(1)
	}
}

func (r *ring) tryPut(l line) bool {
	if r.bytes.Add(int64(len(l.text))) > ringBytes {
		r.bytes.Add(-int64(len(l.text)))
		return false
	}
	for {
		at := r.tail.Load()
		s := &r.slots[at%ringLines]
		switch turn := s.turn.Load(); {
		case turn < at: // the line of the last time round is still there
			r.bytes.Add(-int64(len(l.text)))
			return false
		case turn == at && r.tail.CompareAndSwap(at, at+1):
			s.line = l
			s.turn.Store(at + 1)
			return true
		}
		// Another goroutine was faster.
	}
}

// take returns the oldest line.
func (r *ring) take() (l line, ok bool) {
	s := &r.slots[r.head%ringLines]
	if s.turn.Load() != r.head+1 {
		return line{}, false
	}
	l, s.line = s.line, line{}
	s.turn.Store(r.head + ringLines)
	r.head++
	r.bytes.Add(-int64(len(l.text)))
	return l, true
}
