package e2e

import (
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sallyport/internal/gwtest"
)

// serve runs f with each connection to addr, which it closes afterwards.
func (c *cvm) serve(t *testing.T, addr string, f func(net.Conn)) {
	t.Helper()
	l := c.host.Listen(t, addr)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				conn.SetDeadline(time.Now().Add(patience))
				f(conn)
			}()
		}
	}()
}

// serveHello reads a ClientHello, answers it with these bytes and closes: the
// cheapest server behind a passthrough name.
func (c *cvm) serveHello(t *testing.T, addr string, answer []byte) {
	t.Helper()
	c.serve(t, addr, func(conn net.Conn) {
		if _, err := conn.Read(make([]byte, 1<<10)); err == nil {
			_, _ = conn.Write(answer) // a client that left says so itself
		}
	})
}

// A gateway with 400 descriptors, told that it may have more connections, under 1,000 clients that all come at once. Each
// is served or told; the gateway lives, does not spin, and is as good as new
// afterwards.
func TestClientsBeyondTheDescriptorLimitAreShed(t *testing.T) {
	w := newWorld(t, "prlimit")
	g := w.startAlone(programs.tested, []string{"prlimit", "--nofile=400:400"}, setting{"proxy.max_connections", 5000})
	w.connectCVMs(g)
	answer := make([]byte, 100)
	w.cvms[0].serveHello(t, ":443", answer)
	fds, goroutines, _ := g.atRest()

	const clients = 1000
	var served, told, closed atomic.Int64
	var all sync.WaitGroup
	var once sync.Mutex
	var first error
	for range clients {
		all.Go(func() {
			c, err := w.tryDial()
			if err == nil {
				defer c.Close()
				var got []byte
				if _, err = c.Write(gwtest.Hello{ServerName: name("alpha", "s")}.Record()); err == nil {
					got, err = io.ReadAll(c)
				}
				switch {
				case len(got) == len(answer):
					served.Add(1)
				case len(got) == 7 && got[0] == 21:
					told.Add(1)
				default:
					closed.Add(1)
				}
			}
			var timeout net.Error
			if errors.As(err, &timeout) && timeout.Timeout() {
				once.Lock()
				first = err
				once.Unlock()
			}
		})
	}
	all.Wait()
	t.Logf("%d served, %d told by an alert, %d closed", served.Load(), told.Load(), closed.Load())
	if first != nil {
		t.Errorf("a client was left waiting: %v", first)
	}
	if served.Load() == 0 || served.Load() == clients {
		t.Error("want some served and some not")
	}
	g.mustHoldNoMoreThan(fds, goroutines)
	before := g.metric("process_cpu_seconds_total")
	timer := time.NewTimer(time.Second)
	<-timer.C
	if used := g.metric("process_cpu_seconds_total") - before; used > 0.5 {
		t.Errorf("at rest it uses %.2f s of CPU in a second", used)
	}
	w.flow(modes[0]).mustEcho(t)
}

// 20,000 short connections, the half of them ended by the client: what the
// process holds is back to where it was.
func TestTwentyThousandConnectionsLeaveNothingBehind(t *testing.T) {
	w := newWorld(t)
	g := w.start(setting{"log.access", false})
	w.cvms[0].serveHello(t, ":443", make([]byte, 100))
	w.storm(t, 2000) // pools and heap grow to their size
	fds, goroutines, rss := g.atRest()
	w.storm(t, 20_000)
	g.mustHoldNoMoreThan(fds, goroutines)
	now := g.metric("process_resident_memory_bytes")
	t.Logf("memory %.1f → %.1f MiB", rss/(1<<20), now/(1<<20))
	if now > 1.3*rss+(16<<20) {
		t.Errorf("%v bytes of memory before, %v after", rss, now)
	}
}

// storm makes n short connections, eight at a time; every second one is left by
// its client as soon as the first byte has come.
func (w *world) storm(t *testing.T, n int) {
	t.Helper()
	hello := gwtest.Hello{ServerName: name("alpha", "s")}.Record()
	var next, failed atomic.Int64
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for i := next.Add(1); i <= int64(n); i = next.Add(1) {
				if err := w.short(hello, i%2 == 0); err != nil && failed.Add(1) == 1 {
					t.Errorf("connection %d: %v", i, err)
				}
			}
		})
	}
	all.Wait()
	if f := failed.Load(); f > 0 {
		t.Fatalf("%d of %d connections failed", f, n)
	}
}

func (w *world) short(hello []byte, leave bool) error {
	c, err := w.tryDial()
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := c.Write(hello); err != nil {
		return err
	}
	if leave {
		_, err = c.Read(make([]byte, 1))
		return err
	}
	got, err := io.ReadAll(c)
	if err == nil && len(got) != 100 {
		err = io.ErrUnexpectedEOF
	}
	return err
}
