package relay

import (
	"context"
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
	"time"
)

// waitOpen waits until n connections are open.
func (g *gateway) waitOpen(n int) {
	g.t.Helper()
	eventually(g.t, "as many connections open as wanted", func() bool { return g.Open() == n })
}

// client is either kind of client, for tests that hold for both.
type client interface {
	net.Conn
	CloseWrite() error
}

// bothModes runs a test for a client that is passed through and for one that is
// terminated. handle is the backend, after the hello.
func bothModes(t *testing.T, change func(*gateway, *Options), handle func(*net.TCPConn), test func(*testing.T, *gateway, client)) {
	t.Run("passthrough", func(t *testing.T) {
		g := start(t, change).to(afterHello(t, handle))
		test(t, g, g.pass())
	})
	t.Run("terminated", func(t *testing.T) {
		g := start(t, change).to(serve(t, handle))
		test(t, g, g.tls())
	})
}

func TestClientHalfCloseStillGetsItsAnswer(t *testing.T) {
	handle := func(c *net.TCPConn) {
		b, _ := io.ReadAll(c) // up to the client's EOF
		write(t, c, append([]byte("got "), b...))
	}
	bothModes(t, nil, handle, func(t *testing.T, g *gateway, c client) {
		write(t, c, []byte("request"))
		if err := c.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(c); err != nil || string(b) != "got request" {
			t.Errorf("answer %q, %v", b, err)
		}
		if got := g.ended(); got != "client_closed" {
			t.Errorf("reason %s", got)
		}
	})
}

func TestBackendHalfCloseStillGetsTheRest(t *testing.T) {
	rest := make(chan string, 1)
	handle := func(c *net.TCPConn) {
		write(t, c, []byte("bye"))
		_ = c.CloseWrite()
		b, _ := io.ReadAll(c)
		rest <- string(b)
	}
	bothModes(t, nil, handle, func(t *testing.T, g *gateway, c client) {
		if b, err := io.ReadAll(c); err != nil || string(b) != "bye" {
			t.Fatalf("got %q, %v", b, err)
		}
		write(t, c, []byte("the rest"))
		c.Close()
		if got := <-rest; got != "the rest" {
			t.Errorf("the backend got %q", got)
		}
		if got := g.ended(); got != "instance_closed" {
			t.Errorf("reason %s", got)
		}
	})
}

// The last word of a backend that resets must arrive: it answers early and
// closes without having read all of the request.
func TestEarlyAnswerBeforeAResetArrives(t *testing.T) {
	handle := func(c *net.TCPConn) {
		readExactly(t, c, 1)
		write(t, c, []byte("413 too large"))
		// Closing with bytes unread resets the connection.
	}
	bothModes(t, nil, handle, func(t *testing.T, g *gateway, c client) {
		write(t, c, make([]byte, 1<<10)) // one record: a second one could meet the reset
		if got := string(readExactly(t, c, 13)); got != "413 too large" {
			t.Errorf("got %q", got)
		}
	})
}

func TestResetIsPassedOn(t *testing.T) {
	t.Run("by the client", func(t *testing.T) {
		seen := make(chan error, 1)
		g := start(t, nil).to(afterHello(t, func(c *net.TCPConn) {
			readExactly(t, c, 1)
			_, err := c.Read(make([]byte, 1))
			seen <- err
		}))
		c := g.pass()
		write(t, c, []byte("x"))
		g.waitBytes(0, uint64(len(helloFor(t, "raw.test"))+1))
		_ = c.SetLinger(0)
		c.Close()
		if err := <-seen; !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("the backend saw %v", err)
		}
		if got := g.ended(); got != "client_reset" {
			t.Errorf("reason %s", got)
		}
	})
	t.Run("by the backend", func(t *testing.T) {
		g := start(t, nil).to(afterHello(t, func(c *net.TCPConn) {
			readExactly(t, c, 1)
			_ = c.SetLinger(0)
		}))
		c := g.pass()
		write(t, c, []byte("x"))
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("the client saw %v", err)
		}
		if got := g.ended(); got != "instance_reset" {
			t.Errorf("reason %s", got)
		}
	})
}

// waitBytes waits until n bytes went in a direction.
func (g *gateway) waitBytes(dir int, n uint64) {
	g.t.Helper()
	eventually(g.t, "the bytes came through", func() bool { return g.bytes(dir, copying) >= n })
}

func TestTruncatedClientLosesNoByte(t *testing.T) {
	got := make(chan string, 1)
	g := start(t, nil).to(serve(t, func(c *net.TCPConn) {
		b, _ := io.ReadAll(c)
		got <- string(b)
	}))
	c := g.tls()
	write(t, c, []byte("last words"))
	_ = c.NetConn().(*net.TCPConn).CloseWrite() // FIN without close_notify
	if b := <-got; b != "last words" {
		t.Errorf("the backend got %q", b)
	}
	if got := g.ended(); got != "client_truncated" {
		t.Errorf("reason %s", got)
	}
}

func TestBrokenRecordEndsTheConnectionWithAnAlert(t *testing.T) {
	g := start(t, nil).to(serve(t, echo))
	c := g.tls()
	mustEcho(t, c)
	write(t, c.NetConn(), []byte("\x17\x03\x03\x00\x20this is not the right ciphertext"))
	var alert interface{ Error() string }
	if _, err := c.Read(make([]byte, 1)); !errors.As(err, &alert) || alert.Error() != "remote error: tls: bad record MAC" {
		t.Errorf("the client saw %v", err)
	}
	if got := g.ended(); got != "bad_record" {
		t.Errorf("reason %s", got)
	}
}

func TestIdleConnectionsEnd(t *testing.T) {
	short := func(_ *gateway, o *Options) { o.Timeouts.Idle = 100 * time.Millisecond }
	for _, half := range []bool{false, true} {
		t.Run(map[bool]string{false: "open", true: "half-closed"}[half], func(t *testing.T) {
			release := make(chan struct{})
			handle := func(c *net.TCPConn) {
				_, _ = io.Copy(io.Discard, c)
				<-release // after the client's EOF: say nothing, and keep it open
			}
			bothModes(t, short, handle, func(t *testing.T, g *gateway, c client) {
				defer func() { release <- struct{}{} }()
				write(t, c, []byte("x"))
				if half {
					_ = c.CloseWrite()
				}
				if _, err := io.ReadAll(c); !errors.Is(err, syscall.ECONNRESET) {
					t.Errorf("idle end: %v", err)
				}
				if got := g.ended(); got != "idle_timeout" {
					t.Errorf("reason %s", got)
				}
			})
		})
	}
}

func TestProgressKeepsAConnection(t *testing.T) {
	g := start(t, func(_ *gateway, o *Options) { o.Timeouts.Idle = 3 * time.Second }).to(afterHello(t, echo))
	c := g.pass()
	for range 10 {
		mustEcho(t, c)
		<-time.After(400 * time.Millisecond) // shorter than idle, but longer than it in all
	}
}

func TestDrainLetsTransfersEnd(t *testing.T) {
	g := start(t, nil).to(afterHello(t, echo))
	c := g.pass()
	mustEcho(t, c)
	g.cancel()
	g.waitRefused()
	mustEcho(t, c)
	c.Close()
	<-g.done
}

// waitRefused waits until nobody listens any more.
func (g *gateway) waitRefused() {
	for {
		c, err := net.Dial("tcp", g.addr)
		if errors.Is(err, syscall.ECONNREFUSED) {
			return
		}
		if err == nil {
			c.Close()
		}
	}
}

func TestDrainTimeEndsWhatIsLeft(t *testing.T) {
	bothModes(t, func(_ *gateway, o *Options) { o.Timeouts.Drain = 50 * time.Millisecond }, echo,
		func(t *testing.T, g *gateway, c client) {
			mustEcho(t, c)
			g.cancel()
			if _, err := io.ReadAll(c); !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("end of the drain: %v", err)
			}
			<-g.done
			if got := g.ended(); got != "drained" {
				t.Errorf("reason %s", got)
			}
		})
}

func TestAbortEndsAtOnce(t *testing.T) {
	g := start(t, func(_ *gateway, o *Options) { o.Timeouts.Drain = time.Hour }).to(afterHello(t, echo), silent(t))
	c := g.pass()
	mustEcho(t, c)
	waiting := g.dial()
	g.waitOpen(2)
	g.cancel()
	g.Abort()
	<-g.done
	for _, c := range []net.Conn{c, waiting} {
		if _, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("read after the abort: %v", err)
		}
	}
}

// crypto/tls runs inside the loop for as long as a connection lives.
func TestPanicWhileRelayingEndsOneConnectionOnly(t *testing.T) {
	g := start(t, func(_ *gateway, o *Options) { o.Loops = 1 }).to(serve(t, echo))
	a, b := g.tls(), g.tls()
	mustEcho(t, a)
	mustEcho(t, b)
	g.loops[0].inbox.Post(func() {
		poller := &g.loops[0].poller
		for fd := range poller.Len() {
			c := poller.Of(int32(fd)).Owner
			if c != nil && c.client.fd == int32(fd) && c.addr.String() == a.LocalAddr().String() {
				c.tls.conn = nil
			}
		}
	})
	write(t, a, []byte("x"))
	if _, err := io.ReadAll(a); err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the client saw %v", err)
	}
	if got := g.ended(); got != "internal" {
		t.Errorf("reason %s", got)
	}
	mustEcho(t, b)
}
