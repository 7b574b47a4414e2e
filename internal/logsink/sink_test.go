package logsink

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// pipe is a log's reader. While it has stopped, who writes waits.
type pipe struct {
	mu   sync.Mutex // held while it has stopped
	text bytes.Buffer
}

func (p *pipe) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.Write(b)
}

func (p *pipe) lines() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Split(strings.TrimSuffix(p.text.String(), "\n"), "\n")
}

// text is the format of the tests: no time, so that lines are known.
func text(w io.Writer) slog.Handler {
	return slog.NewTextHandler(w, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}})
}

// open is a sink for the length of a test.
func open(t *testing.T, w io.Writer) (*Sink, *slog.Logger) {
	t.Helper()
	s := New(w, text)
	t.Cleanup(func() { s.Close(time.Second) })
	return s, slog.New(s.Handler())
}

func TestWhoLogsDoesNotWaitForAReaderThatHasStopped(t *testing.T) {
	var p pipe
	s, log := open(t, &p)
	own := slog.New(s.Handler().Own())
	p.mu.Lock()
	const n = 10_000
	for i := range n {
		log.Info("shared", "i", i) // a lock would wait for ever
		own.Info("own", "i", i)
	}
	dropped := s.Dropped()
	if dropped < 2*(n-ringLines)-2*turnLines || dropped > 2*(n-ringLines) {
		t.Errorf("%d lines were dropped", dropped)
	}
	p.mu.Unlock()
	s.Close(time.Minute)
	lines := p.lines()
	told := slices.IndexFunc(lines, func(l string) bool { return strings.Contains(l, "log lines were dropped") })
	if told < 0 || !strings.HasSuffix(lines[told], fmt.Sprintf(" lines=%d lines_since_start=%d", dropped, dropped)) {
		t.Fatalf("no line tells that %d were dropped", dropped)
	}
	if lines = slices.Delete(lines, told, told+1); len(lines) != int(2*n-dropped) {
		t.Errorf("%d lines were written and %d dropped, of %d", len(lines), dropped, 2*n)
	}
	// What was kept is the beginning, in its order.
	next := map[string]int{}
	for _, l := range lines {
		if who := strings.Fields(l)[1]; l != fmt.Sprintf("level=INFO %s i=%d", who, next[who]) {
			t.Fatalf("line %q, want number %d", l, next[who])
		} else {
			next[who]++
		}
	}
}

func TestFloodOfOneThreadDropsNobodyElsesLines(t *testing.T) {
	var p pipe
	s, log := open(t, &p)
	own := slog.New(s.Handler().Own())
	p.mu.Lock()
	for range 2 * ringLines {
		own.Info("flood")
	}
	log.Error("important")
	p.mu.Unlock()
	s.Close(time.Minute)
	if !strings.Contains(p.text.String(), "msg=important") {
		t.Error("a line of the shared ring was dropped because another ring is full")
	}
}

func TestFloodThatIsWrittenLetsOthersHaveTheirTurn(t *testing.T) {
	var p pipe
	s, log := open(t, &p)
	own := slog.New(s.Handler().Own())
	p.mu.Lock()
	for range ringLines {
		own.Info("flood")
	}
	log.Error("important")
	p.mu.Unlock()
	s.Close(time.Minute)
	for i, l := range p.lines() {
		if strings.Contains(l, "important") {
			if i > 3*turnLines {
				t.Errorf("line %d is the first of the other ring", i)
			}
			return
		}
	}
	t.Error("the line is not there")
}

func TestLinesOfSeveralRingsAreInTheOrderOfTime(t *testing.T) {
	var p pipe
	s, _ := open(t, &p)
	a, b := s.Handler().Own(), s.Handler().Own()
	began := time.Now()
	p.mu.Lock()
	for i := range 10 {
		h := a
		if i%3 == 0 {
			h = b
		}
		if err := h.Handle(t.Context(), slog.NewRecord(began.Add(time.Duration(i)), slog.LevelInfo, strconv.Itoa(i), 0)); err != nil {
			t.Fatal(err)
		}
	}
	p.mu.Unlock()
	s.Close(time.Minute)
	// The writer may have taken the first alone, before the others were there.
	if got := strings.Join(p.lines(), " "); got != strings.TrimSpace(strings.Join(numbered(10), " ")) {
		t.Errorf("got %s", got)
	}
}

func numbered(n int) (lines []string) {
	for i := range n {
		lines = append(lines, fmt.Sprintf("level=INFO msg=%d", i))
	}
	return lines
}

func TestDroppedLinesAreToldOfOnceAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p gated
		s, log := open(t, &p)
		overflow := func() {
			p.stop()
			for range 2 * ringLines {
				log.Info("x")
			}
			p.goOn()
			<-time.After(10 * gather)
		}
		told := func() int { return strings.Count(p.String(), "log lines were dropped") }
		overflow()
		if n := told(); n != 1 {
			t.Fatalf("told %d times after the first flood, want once", n)
		}
		for range 5 {
			<-time.After(time.Second)
			overflow()
		}
		if n := told(); n != 1 {
			t.Errorf("told %d times within a minute, want once", n)
		}
		<-time.After(reportEvery) // nothing is logged meanwhile
		synctest.Wait()
		if n := told(); n != 2 {
			t.Errorf("told %d times after a minute, want twice", n)
		}
		if want := fmt.Sprintf("lines_since_start=%d", s.Dropped()); !strings.Contains(p.String(), want) {
			t.Errorf("no line has %s", want)
		}
	})
}

// gated is a reader that stops, for the time of a bubble.
type gated struct {
	mu   sync.Mutex // guards what follows
	text bytes.Buffer
	gate chan struct{} // nil: it reads
}

func (g *gated) Write(b []byte) (int, error) {
	g.mu.Lock()
	gate := g.gate
	g.mu.Unlock()
	if gate != nil {
		<-gate
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.text.Write(b)
}

func (g *gated) stop() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.gate = make(chan struct{})
}

func (g *gated) goOn() {
	g.mu.Lock()
	defer g.mu.Unlock()
	close(g.gate)
	g.gate = nil
}

func (g *gated) String() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.text.String()
}

// script is a descriptor whose writes go as told: how many bytes are taken, and the
// error. Afterwards everything is taken.
type script struct {
	bytes.Buffer
	steps []step
	hold  chan struct{} // if not nil, writes wait for its end
}

type step struct {
	takes int
	err   error
}

func (s *script) Write(b []byte) (int, error) {
	if s.hold != nil {
		<-s.hold
	}
	if len(s.steps) == 0 {
		return s.Buffer.Write(b)
	}
	next := s.steps[0]
	s.steps = s.steps[1:]
	n := min(next.takes, len(b))
	s.Buffer.Write(b[:n])
	return n, next.err
}

func TestDescriptorThatWouldBlockLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &script{steps: []step{{0, syscall.EAGAIN}, {5, syscall.EAGAIN}, {7, syscall.EAGAIN}, {0, syscall.EAGAIN}}}
		s, log := open(t, w)
		log.Info("one")
		log.Info("two")
		<-time.After(time.Second)
		s.Close(time.Second)
		if got, want := w.String(), "level=INFO msg=one\nlevel=INFO msg=two\n"; got != want || s.Dropped() != 0 {
			t.Errorf("written %q, %d dropped, want %q and none", got, s.Dropped(), want)
		}
	})
}

func TestLinesLostByAnErrorAreCountedAndTold(t *testing.T) {
	for _, failure := range []error{syscall.ENOSPC, syscall.EPIPE, syscall.EIO, io.ErrClosedPipe} {
		t.Run(failure.Error(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &script{steps: []step{{100, nil}, {25, failure}}, hold: make(chan struct{})}
				s, log := open(t, w)
				log.Info("zero")
				<-time.After(time.Second) // it is being written
				log.Info("one")           // 19 bytes
				log.Info("two")
				close(w.hold)
				<-time.After(2 * errorPause)
				log.Info("three")
				synctest.Wait()
				<-time.After(time.Second)
				s.Close(time.Second)
				got := w.String()
				for _, want := range []string{"level=INFO msg=one\nlevel=\n", "lines=1 lines_since_start=1\n", "level=INFO msg=three\n"} {
					if !strings.Contains(got, want) {
						t.Errorf("written %q, want %q in it", got, want)
					}
				}
				if s.Dropped() != 1 {
					t.Errorf("%d dropped, want 1", s.Dropped())
				}
			})
		})
	}
}

// A reader that has closed never comes back; what is logged must not pile up, nor keep
// the writer busy.
func TestReaderThatHasClosedCostsLittle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &closed{}
		s, log := open(t, w)
		for range 10_000 {
			log.Info("x")
			<-time.After(time.Millisecond)
		}
		if n := w.writes.Load(); n > 30 {
			t.Errorf("%d writes in 10 s", n)
		}
		s.Close(time.Second)
		if s.Dropped() != 10_000 {
			t.Errorf("%d of 10,000 lines are counted as dropped", s.Dropped())
		}
	})
}

type closed struct{ writes atomic.Int64 }

func (c *closed) Write([]byte) (int, error) {
	c.writes.Add(1)
	return 0, syscall.EPIPE
}

func TestCloseDoesNotWaitForAReaderThatHasStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p gated
		s, log := open(t, &p)
		p.stop()
		log.Info("x")
		synctest.Wait()
		began := time.Now()
		s.Close(time.Second)
		if took := time.Since(began); took != time.Second {
			t.Errorf("Close took %v, want its patience", took)
		}
		log.Info("y") // nobody is there any more
		p.goOn()
	})
}
