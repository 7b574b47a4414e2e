package relay

import (
	"context"
	"io"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sallyport/internal/hello"
	"sallyport/internal/nonblock"
)

// silent is an address that answers no SYN: a listener whose queue is full.
func silent(t *testing.T) netip.AddrPort {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := unix.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	addr, err := nonblock.Addr(int32(fd))
	if err != nil {
		t.Fatal(err)
	}
	// A backlog of 0 holds one connection; a second one may be in the making.
	for range 3 {
		c, err := net.DialTimeout("tcp", addr.String(), 50*time.Millisecond)
		if err != nil {
			return addr
		}
		t.Cleanup(func() { c.Close() })
	}
	t.Fatal("the listener's queue does not get full")
	return addr
}

// refusing is an address where nobody listens.
func refusing(t *testing.T) netip.AddrPort {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).AddrPort()
}

func mustEcho(t *testing.T, c net.Conn) {
	t.Helper()
	write(t, c, []byte("ping"))
	if got := string(readExactly(t, c, 4)); got != "ping" {
		t.Fatalf("echo %q", got)
	}
}

func TestNextCandidateIsTriedAtOnceAfterARefusal(t *testing.T) {
	g := start(t, func(_ *gateway, o *Options) { o.Timeouts.Hedge = 4 * time.Second }).
		to(refusing(t), afterHello(t, echo))
	began := time.Now()
	mustEcho(t, g.pass())
	if time.Since(began) > 3*time.Second {
		t.Error("the second candidate waited for the hedge time")
	}
}

func TestNextCandidateIsTriedAfterTheHedgeTime(t *testing.T) {
	g := start(t, nil).to(silent(t), silent(t), afterHello(t, echo))
	mustEcho(t, g.pass())
}

func TestNoCandidateAnswersInTime(t *testing.T) {
	g := start(t, func(_ *gateway, o *Options) { o.Timeouts.Connect = 300 * time.Millisecond }).to(silent(t), silent(t))
	if got := alertIn(t, g.pass()); got != alertInternalError {
		t.Errorf("alert %d", got)
	}
	if got := g.ended(); got != "dial_timeout" {
		t.Errorf("reason %s", got)
	}
}

func TestAllCandidatesRefuse(t *testing.T) {
	for _, name := range []string{"raw.test", "tls.test"} {
		g := start(t, nil).to(refusing(t), refusing(t))
		c := g.dial()
		write(t, c, helloFor(t, name))
		if got := alertIn(t, c); got != alertInternalError {
			t.Errorf("%s: alert %d", name, got)
		}
		if got := g.ended(); got != "dial_failed" {
			t.Errorf("%s: reason %s", name, got)
		}
	}
}

// watcher counts what it hears.
type watcher struct{ ok, failed, open, opened, port atomic.Int64 }

func (w *watcher) Dialled(port uint16, ok bool) {
	w.port.Store(int64(port))
	if ok {
		w.ok.Add(1)
	} else {
		w.failed.Add(1)
	}
}
func (w *watcher) Opened() { w.open.Add(1); w.opened.Add(1) }
func (w *watcher) Closed() { w.open.Add(-1) }

func TestWatchersHearHowDialsWent(t *testing.T) {
	var overtaken, winner, idle watcher
	g := start(t, nil)
	list := []Backend{
		{Addr: silent(t), Watch: &overtaken}, {Addr: afterHello(t, echo), Watch: &winner}, {Addr: silent(t), Watch: &idle},
	}
	g.backends.Store(&list)
	c := g.pass()
	mustEcho(t, c)
	if overtaken.failed.Load() != 1 || winner.ok.Load() != 1 || winner.open.Load() != 1 {
		t.Errorf("overtaken: %d failed; winner: %d ok, %d open", overtaken.failed.Load(), winner.ok.Load(), winner.open.Load())
	}
	if idle.ok.Load()+idle.failed.Load() != 0 {
		t.Error("a candidate that was not needed was blamed")
	}
	for i, w := range []*watcher{&overtaken, &winner} {
		if got := w.port.Load(); got != int64(list[i].Addr.Port()) {
			t.Errorf("told of port %d, %v was dialled", got, list[i].Addr)
		}
	}
	c.Close()
	g.ended()
	if winner.open.Load() != 0 {
		t.Error("still open")
	}
}

// A client chooses the port: it must not be able to have all instances of an app
// put aside by asking for one where nobody listens.
func TestRefusedPortIsNoFailureOfTheInstance(t *testing.T) {
	var alone, compared, winner watcher
	g := start(t, nil)
	g.backends.Store(&[]Backend{{Addr: refusing(t), Watch: &alone}})
	alertIn(t, g.pass())
	if alone.failed.Load() != 0 {
		t.Error("blamed for a port that nobody listens on")
	}
	g.backends.Store(&[]Backend{{Addr: refusing(t), Watch: &compared}, {Addr: afterHello(t, echo), Watch: &winner}})
	mustEcho(t, g.pass())
	if compared.failed.Load() != 1 {
		t.Error("not blamed, though another instance took the connection")
	}
}

// limit lets so many in.
type limit struct{ left atomic.Int64 }

func (l *limit) Acquire() bool {
	if l.left.Add(-1) < 0 {
		l.left.Add(1)
		return false
	}
	return true
}
func (l *limit) Release() { l.left.Add(1) }

func TestLimitIsGivenBack(t *testing.T) {
	lim := &limit{}
	lim.left.Store(1)
	g := start(t, func(_ *gateway, o *Options) {
		route := o.Route
		o.Route = func(h *hello.Hello, a netip.AddrPort, d *Decision) {
			route(h, a, d)
			d.Limit = lim
		}
	}).to(afterHello(t, echo))
	c := g.pass()
	mustEcho(t, c)
	if got := alertIn(t, g.pass()); got != alertAccessDenied {
		t.Errorf("alert %d", got)
	}
	g.log.wait(t, "reason=app_limit")
	c.Close()
	g.ended()
	mustEcho(t, g.pass())
}

func TestDialElsewhereRelaysAndHalfCloses(t *testing.T) {
	var dials atomic.Int64
	g := start(t, func(_ *gateway, o *Options) {
		o.Dial = func(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
			dials.Add(1)
			var d net.Dialer
			return d.DialContext(ctx, "tcp", to.String())
		}
	}).to(refusing(t), afterHello(t, echo))
	c := g.pass()
	mustEcho(t, c)
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got := alertIn(t, c); got != alertNone {
		t.Errorf("%d after the EOF", got)
	}
	if dials.Load() != 2 {
		t.Errorf("%d dials", dials.Load())
	}
}

func TestBackendMayBeDialledByItsOwnFunction(t *testing.T) {
	g := start(t, nil)
	g.backends.Store(&[]Backend{{Name: "inside", Dial: func(context.Context) (net.Conn, error) {
		near, far := net.Pipe()
		go func() {
			defer far.Close()
			_, _ = io.Copy(far, far)
		}()
		return near, nil
	}}})
	mustEcho(t, g.tls())
}

func TestClientThatLeavesWhileDiallingEndsTheDial(t *testing.T) {
	g := start(t, nil).to(silent(t))
	c := g.pass()
	g.waitOpen(1)
	if err := c.SetLinger(0); err != nil {
		t.Fatal(err)
	}
	c.Close()
	if got := g.ended(); got != "client_reset" {
		t.Errorf("reason %s", got)
	}
}

func TestCloseBackendEndsItsConnectionsOnly(t *testing.T) {
	var one, two watcher
	g := start(t, nil)
	backend := afterHello(t, echo)
	connect := func(w *watcher) *net.TCPConn {
		g.backends.Store(&[]Backend{{Addr: backend, Watch: w}})
		c := g.pass()
		mustEcho(t, c)
		return c
	}
	a, b := connect(&one), connect(&two)
	g.CloseBackend(&one)
	if got := g.ended(); got != "instance_removed" {
		t.Errorf("reason %s", got)
	}
	if _, err := a.Read(make([]byte, 1)); err == nil {
		t.Error("the connection to the removed backend lives")
	}
	mustEcho(t, b)
}

func TestDecisionThatWaitsDoesNotHoldTheLoop(t *testing.T) {
	answer := make(chan struct{})
	g := start(t, func(_ *gateway, o *Options) {
		o.Loops = 1
		route := o.Route
		o.Route = func(h *hello.Hello, a netip.AddrPort, d *Decision) {
			if string(h.ServerName) != "later.test" {
				route(h, a, d)
				return
			}
			d.Later = func(ctx context.Context, d *Decision) {
				select {
				case <-answer:
					route(&hello.Hello{}, a, d)
				case <-ctx.Done():
				}
			}
		}
	}).to(afterHello(t, echo))
	waiting := g.dial()
	write(t, waiting, helloFor(t, "later.test"))
	mustEcho(t, g.pass())
	close(answer)
	mustEcho(t, waiting)
}

func TestDecisionThatNeverComesMeetsTheDeadline(t *testing.T) {
	g := start(t, func(_ *gateway, o *Options) {
		o.Timeouts.Connect = 50 * time.Millisecond
		o.Timeouts.Hedge = 10 * time.Millisecond
		o.Route = func(_ *hello.Hello, _ netip.AddrPort, d *Decision) {
			d.Later = func(ctx context.Context, _ *Decision) { <-ctx.Done() }
		}
	})
	if got := alertIn(t, g.pass()); got != alertInternalError {
		t.Errorf("alert %d", got)
	}
	if got := g.ended(); got != "lookup_failed" {
		t.Errorf("reason %s", got)
	}
}
