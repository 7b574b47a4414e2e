package relay

import (
	"log/slog"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

func TestFirstLinesOfASecondAreTaken(t *testing.T) {
	var s sample
	for second := int64(1); second < 4; second++ {
		for i := range 3 * linesPerSecond {
			if got, want := s.take(second), i < linesPerSecond; got != want {
				t.Fatalf("line %d of second %d: %t, want %t", i, second, got, want)
			}
		}
		if got := s.hidden.Swap(0); got != 2*linesPerSecond {
			t.Errorf("second %d: %d have no line, want %d", second, got, 2*linesPerSecond)
		}
	}
}

func TestLoopsShareTheLinesOfASecond(t *testing.T) {
	var s sample
	var taken atomic.Int64
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 1000 {
				if s.take(1) {
					taken.Add(1)
				}
			}
		})
	}
	all.Wait()
	if taken.Load() != linesPerSecond || s.hidden.Load() != 8000-linesPerSecond {
		t.Errorf("%d taken, %d without a line", taken.Load(), s.hidden.Load())
	}
}

// A flood of refusals is a few lines and a count of the rest, with the access log and
// without.
func TestRefusalsHaveFewLinesAndACount(t *testing.T) {
	for name, access := range map[string]bool{"access log": true, "no access log": false} {
		t.Run(name, func(t *testing.T) {
			const refused = 300
			g := start(t, func(_ *gateway, o *Options) { o.Access = access })
			began := g.second()
			for range refused {
				if got := alertIn(t, g.pass()); got != alertInternalError { // no healthy instance
					t.Fatalf("alert %d", got)
				}
			}
			lines, hidden := 0, 0
			counted := regexp.MustCompile(`msg="more connections ended.* reason=no_healthy_instance connections=(\d+)`)
			eventually(t, "every refusal has a line or is counted", func() bool {
				lines, hidden = 0, 0
				for line := range strings.Lines(g.log.all()) {
					if m := counted.FindStringSubmatch(line); m != nil {
						n, _ := strconv.Atoi(m[1])
						hidden += n
					} else if strings.Contains(line, " reason=no_healthy_instance") {
						lines++
					}
				}
				return lines+hidden == refused
			})
			if most := linesPerSecond * int(g.second()-began+1); lines > most {
				t.Errorf("%d lines, want no more than %d", lines, most)
			}
		})
	}
}

// The access log tells of each connection that was relayed.
func TestRelayedConnectionsHaveALineEach(t *testing.T) {
	g := start(t, nil).to(afterHello(t, echo))
	const n = 4 * linesPerSecond
	for range n {
		c := g.pass()
		mustEcho(t, c)
		c.Close()
	}
	eventually(t, "a line for each", func() bool { return strings.Count(g.log.all(), "msg=connection ") == n })
}

func TestLoopsLogWithLoggersOfTheirOwn(t *testing.T) {
	var loops atomic.Int64
	var own logBuffer
	g := start(t, func(_ *gateway, o *Options) {
		o.LoopLog = func() *slog.Logger {
			loops.Add(1)
			return slog.New(slog.NewTextHandler(&own, nil))
		}
	})
	if got := alertIn(t, g.pass()); got != alertInternalError {
		t.Errorf("alert %d", got)
	}
	own.wait(t, "reason=no_healthy_instance")
	if loops.Load() != 2 || strings.Contains(g.log.all(), "no_healthy_instance") {
		t.Errorf("%d loggers for 2 loops; the shared one has %q", loops.Load(), g.log.all())
	}
}

func (l *logBuffer) all() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
