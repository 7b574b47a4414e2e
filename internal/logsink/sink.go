package logsink

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	// turnLines is how many lines of one ring are written before the others have their
	// turn: a ring that is always full must not keep the others' lines.
	turnLines = 64
	// gather is a pause after each writing, so that a storm of lines wakes the writer a
	// thousand times a second at most.
	gather = time.Millisecond
	// againPause is between tries of a descriptor that would block (EAGAIN).
	againPause = 10 * time.Millisecond
	// errorPause is after an error, such as a full disk or a reader that has closed.
	errorPause = time.Second
	// reportEvery is between lines about dropped lines.
	reportEvery = time.Minute
)

// Sink writes what its handlers render. Its methods may be called concurrently.
type Sink struct {
	to      io.Writer
	handler *Handler
	bell    chan struct{}           // holds one if a ring may not be empty
	closing chan struct{}           // closed by Close
	ended   chan struct{}           // closed when the writer has ended
	unsent  atomic.Uint64           // lines that were taken from a ring and not written
	rings   atomic.Pointer[[]*ring] // replaced under mu
	mu      sync.Mutex
	close   sync.Once
	until   time.Time // when the patience of Close is over; set before closing is

	// The writer's own.
	batch      []line
	out        []byte
	broken     bool // what was written last is a part of a line
	reported   uint64
	reportedAt time.Time
}

// New returns a Sink that writes to w lines as f makes them, and begins to. w may
// block, and fail in any way.
func New(w io.Writer, f Format) *Sink {
	s := &Sink{to: w, bell: make(chan struct{}, 1), closing: make(chan struct{}), ended: make(chan struct{})}
	s.rings.Store(&[]*ring{})
	s.handler = newHandler(s, s.newRing(), f)
	go s.run()
	return s
}

// Handler returns the handler for all that have none of their own.
func (s *Sink) Handler() *Handler { return s.handler }

// Dropped is how many lines were dropped so far.
func (s *Sink) Dropped() uint64 {
	n := s.unsent.Load()
	for _, r := range *s.rings.Load() {
		n += r.dropped.Load()
	}
	return n
}

// Close writes what is in the rings, waits for that no longer than patience, and ends
// the writer. What is logged afterwards is dropped.
func (s *Sink) Close(patience time.Duration) {
	s.close.Do(func() {
		s.until = time.Now().Add(patience)
		close(s.closing)
	})
	select {
	case <-s.ended:
	case <-time.After(patience):
	}
}

func (s *Sink) newRing() *ring {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := newRing()
	all := append(slices.Clone(*s.rings.Load()), r)
	s.rings.Store(&all)
	return r
}

// wake wakes the writer for a line. It does not wait.
func (s *Sink) wake() {
	select {
	case s.bell <- struct{}{}:
	default: // it is about to look
	}
}

// run writes until Close.
func (s *Sink) run() {
	defer close(s.ended)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-s.bell:
		case <-timer.C: // to report dropped lines, or for nothing
		case <-s.closing:
			s.writeAll()
			s.report()
			return
		}
		s.writeAll()
		s.pause(gather)
		if wait := reportEvery - time.Since(s.reportedAt); s.Dropped() != s.reported {
			timer.Reset(max(wait, errorPause))
		}
	}
}

// writeAll writes until the rings are empty.
func (s *Sink) writeAll() {
	for s.writeBatch() {
		if time.Since(s.reportedAt) >= reportEvery {
			s.report()
		}
	}
	if time.Since(s.reportedAt) >= reportEvery {
		s.report()
	}
}

// writeBatch writes some lines of each ring, in the order of their time. It reports
// whether there were any.
func (s *Sink) writeBatch() bool {
	s.batch = s.batch[:0]
	for _, r := range *s.rings.Load() {
		for range turnLines {
			l, ok := r.take()
			if !ok {
				break
			}
			s.batch = append(s.batch, l)
		}
	}
	slices.SortStableFunc(s.batch, func(a, b line) int { return cmp.Compare(a.at, b.at) })
	s.out = s.out[:0]
	for _, l := range s.batch {
		s.out = append(s.out, l.text...)
	}
	clear(s.batch)
	s.unsent.Add(uint64(s.write(s.out)))
	if cap(s.out) > ringBytes {
		s.out = nil
	}
	return len(s.batch) > 0
}

// write writes lines and returns how many of them it could not.
func (s *Sink) write(lines []byte) (lost int) {
	if len(lines) == 0 {
		return 0
	}
	if s.broken {
		if _, err := s.writeFully([]byte("\n")); err != nil {
			return bytes.Count(lines, newline)
		}
	}
	rest, err := s.writeFully(lines)
	if err != nil {
		s.pause(errorPause)
	}
	return bytes.Count(rest, newline)
}

var newline = []byte("\n")

// writeFully writes b, and waits where a descriptor says that it would block. It
// returns what it could not write.
func (s *Sink) writeFully(b []byte) (rest []byte, err error) {
	for len(b) > 0 {
		var n int
		n, err = s.to.Write(b)
		if n > 0 {
			s.broken = b[n-1] != '\n'
			b = b[n:]
		}
		if err != nil && (!errors.Is(err, syscall.EAGAIN) || !s.again()) {
			return b, err
		}
	}
	return nil, nil
}

// again waits until a descriptor may be tried again. It reports whether there is time
// for that.
func (s *Sink) again() bool {
	if s.pause(againPause) {
		return true
	}
	<-time.After(againPause)
	return time.Now().Before(s.until)
}

// report writes a line about the lines that were dropped since the last one.
func (s *Sink) report() {
	total := s.Dropped()
	if total == s.reported {
		return
	}
	var text bytes.Buffer
	r := slog.NewRecord(time.Now(), slog.LevelWarn, "log lines were dropped; the log's reader is too slow, or its disk is full", 0)
	r.AddAttrs(slog.Uint64("lines", total-s.reported), slog.Uint64("lines_since_start", total))
	if err := s.handler.format(&text).Handle(context.Background(), r); err != nil {
		return
	}
	if s.write(text.Bytes()) == 0 {
		s.reported, s.reportedAt = total, time.Now()
	}
}

// pause waits. It reports whether the sink is still open.
func (s *Sink) pause(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-s.closing:
		return false
	}
}
