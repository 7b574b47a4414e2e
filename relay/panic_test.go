package relay

import (
	"context"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sallyport/internal/hello"
)

// A panic on a goroutine would end the process, and with it the test.
func TestPanicOnAGoroutineEndsOneConnection(t *testing.T) {
	boom := func(context.Context) (net.Conn, error) { panic("boom") }
	for name, decide := range map[string]func(d *Decision){
		"decision that waits": func(d *Decision) { d.Later = func(context.Context, *Decision) { panic("boom") } },
		"dial":                func(d *Decision) { d.Backends[0], d.N = Backend{Dial: boom}, 1 },
	} {
		t.Run(name, func(t *testing.T) {
			g := start(t, func(_ *gateway, o *Options) {
				route := o.Route
				o.Route = func(h *hello.Hello, a netip.AddrPort, d *Decision) {
					if route(h, a, d); string(h.ServerName) == "panic.test" {
						decide(d)
					}
				}
			}).to(afterHello(t, echo))
			other := g.pass()
			mustEcho(t, other)
			c := g.dial()
			write(t, c, helloFor(t, "panic.test"))
			if got := alertIn(t, c); got != alertInternalError {
				t.Errorf("alert %d", got)
			}
			if line := g.log.wait(t, "panic=boom"); !strings.Contains(line, "panic_test.go") {
				t.Errorf("the log has no stack: %s", line)
			}
			if got := g.ended(); got != "internal" {
				t.Errorf("reason %s", got)
			}
			mustEcho(t, other)
		})
	}
}

// buggy is a connection of a stack in user space that panics when it is read.
type buggy struct{ net.Conn }

func (buggy) Read([]byte) (int, error) { panic("boom") }

func TestPanicBehindABridgeEndsOneConnection(t *testing.T) {
	g := start(t, nil)
	g.to(afterHello(t, echo))
	other := g.pass()
	mustEcho(t, other)
	near, far := net.Pipe()
	defer far.Close()
	g.backends.Store(&[]Backend{{Dial: func(context.Context) (net.Conn, error) { return buggy{near}, nil }}})
	c := g.pass()
	if line := g.log.wait(t, "panic="); !strings.Contains(line, "panic_test.go") {
		t.Errorf("the log has no stack: %s", line)
	}
	if _, err := io.ReadAll(c); err == nil {
		t.Error("the cut looks like an end")
	}
	mustEcho(t, other)
}

func TestPanicInADialGivesWayToTheNextCandidate(t *testing.T) {
	g := start(t, nil)
	var w watcher
	boom := func(context.Context) (net.Conn, error) { panic("boom") }
	g.backends.Store(&[]Backend{{Dial: boom, Watch: &w}, {Addr: afterHello(t, echo)}})
	mustEcho(t, g.pass())
	if w.failed.Load() != 0 {
		t.Error("a bug of the gateway's speaks against the instance")
	}
}

// bug is a watcher whose first Closed panics, on the loop's thread.
type bug struct {
	watcher
	met atomic.Bool
}

func (b *bug) Closed() {
	if b.met.CompareAndSwap(false, true) {
		panic("boom")
	}
	b.watcher.Closed()
}

// What ends a connection is the loop's own: its timer, or whoever removes its backend.
func TestPanicOnTheLoopsThreadEndsOneConnection(t *testing.T) {
	for name, end := range map[string]func(g *gateway, b *bug){
		"timer":           func(*gateway, *bug) {},
		"removed backend": func(g *gateway, b *bug) { g.CloseBackend(b) },
	} {
		t.Run(name, func(t *testing.T) {
			g := start(t, func(_ *gateway, o *Options) {
				o.Loops = 1
				if name == "timer" {
					o.Timeouts.Idle = 400 * time.Millisecond
				}
			})
			var b bug
			g.backends.Store(&[]Backend{{Addr: afterHello(t, echo), Watch: &b}})
			mustEcho(t, g.pass())
			end(g, &b)
			g.log.wait(t, "panic=boom")
			if got := g.ended(); got != "internal" {
				t.Errorf("reason %s", got)
			}
			g.waitOpen(0)
			mustEcho(t, g.pass())
		})
	}
}
