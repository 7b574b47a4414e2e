package relay

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sallyport/internal/nonblock"
)

// A peer is one end of a connection through the gateway: what it reads and writes, and
// the socket below.
type peer struct {
	client
	raw *net.TCPConn
}

// everyWay runs test for each way through the gateway. open makes a connection: instance
// is what the instance does with it.
func everyWay(t *testing.T, change func(*gateway, *Options), test func(t *testing.T, open func(instance func(peer)) (*gateway, peer))) {
	for _, stack := range []struct {
		name string
		dial func(*gateway, *Options)
	}{{"", func(*gateway, *Options) {}}, {" in user space", inUserSpace}} {
		begin := func(t *testing.T) *gateway {
			return start(t, func(g *gateway, o *Options) {
				stack.dial(g, o)
				if change != nil {
					change(g, o)
				}
			})
		}
		t.Run("passed through"+stack.name, func(t *testing.T) {
			test(t, func(instance func(peer)) (*gateway, peer) {
				g := begin(t).toWatched(afterHello(t, func(c *net.TCPConn) { instance(peer{c, c}) }))
				c := g.pass()
				return g, peer{c, c}
			})
		})
		t.Run("terminated"+stack.name, func(t *testing.T) {
			test(t, func(instance func(peer)) (*gateway, peer) {
				g := begin(t).toWatched(serve(t, func(c *net.TCPConn) { instance(peer{c, c}) }))
				c := g.tls()
				return g, peer{c, c.NetConn().(*net.TCPConn)}
			})
		})
		t.Run("encrypted again"+stack.name, func(t *testing.T) {
			test(t, func(instance func(peer)) (*gateway, peer) {
				a := newApps(t)
				g := begin(t).toTLS(a, serveTLS(t, a.good(), func(c *tls.Conn) { instance(peer{c, c.NetConn().(*net.TCPConn)}) }))
				c := g.tls()
				return g, peer{c, c.NetConn().(*net.TCPConn)}
			})
		})
	}
}

// toWatched makes addr the only candidate, with a watcher.
func (g *gateway) toWatched(addr netip.AddrPort) *gateway {
	g.backends.Store(&[]Backend{{Addr: addr, Name: addr.String(), Watch: &watcher{}}})
	return g
}

// reset ends p by RST once everything that it sent has been acknowledged.
func (p peer) reset(t *testing.T) {
	t.Helper()
	eventually(t, "everything is acknowledged", func() bool { return asked(t, p.raw, unix.SIOCOUTQ) == 0 })
	_ = p.raw.SetLinger(0)
	_ = p.raw.Close()
}

// asked is what c's socket answers to an ioctl.
func asked(t *testing.T, c *net.TCPConn, request uint) (n int) {
	t.Helper()
	control, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var failed error
	err = control.Control(func(fd uintptr) { n, failed = unix.IoctlGetInt(int(fd), request) })
	if err := errors.Join(err, failed); err != nil {
		t.Fatal(err)
	}
	return n
}

// mustGetAndBeReset reads want, and then a reset and nothing that looks like an end.
func (p peer) mustGetAndBeReset(t *testing.T, want []byte) {
	t.Helper()
	b, err := io.ReadAll(p)
	if !bytes.Equal(b, want) || !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("%d of %d bytes, then %v", len(b), len(want), err)
	}
}

func TestAnswerThatIsCutOffEndsWithAResetInEveryWay(t *testing.T) {
	half := randomBytes(100 << 10)
	everyWay(t, nil, func(t *testing.T, open func(func(peer)) (*gateway, peer)) {
		g, c := open(func(p peer) {
			readExactly(t, p, 1)
			write(t, p, half)
			p.reset(t)
		})
		write(t, c, []byte("x"))
		c.mustGetAndBeReset(t, half)
		if got := g.ended(); got != "instance_reset" {
			t.Errorf("reason %s", got)
		}
	})
}

func TestRequestThatIsCutOffEndsWithAResetInEveryWay(t *testing.T) {
	half := randomBytes(100 << 10)
	everyWay(t, nil, func(t *testing.T, open func(func(peer)) (*gateway, peer)) {
		done := make(chan struct{})
		g, c := open(func(p peer) {
			defer close(done)
			write(t, p, []byte("x"))
			p.mustGetAndBeReset(t, half)
		})
		readExactly(t, c, 1) // a ticket, too
		write(t, c, half)
		c.reset(t)
		<-done
		if got := g.ended(); got != "client_reset" {
			t.Errorf("reason %s", got)
		}
	})
}

// A reset takes away what has not arrived. What the gateway has taken must arrive: it
// waits for a client that takes its time.
func TestResetWaitsForBytesUnderWay(t *testing.T) {
	half := randomBytes(2 << 20) // more than the client's kernel takes by itself
	everyWay(t, nil, func(t *testing.T, open func(func(peer)) (*gateway, peer)) {
		g, c := open(func(p peer) {
			readExactly(t, p, 1)
			write(t, p, half)
			p.reset(t)
		})
		_ = c.raw.SetReadBuffer(64 << 10)
		write(t, c, []byte("x"))
		g.ended() // the reset has come, all of the answer has been taken, and nobody has read it
		if asked(t, c.raw, unix.SIOCINQ) >= len(half) {
			t.Fatal("nothing is under way")
		}
		c.mustGetAndBeReset(t, half)
	})
}

// A write to an instance that has reset the connection takes the socket's error away.
// What its socket tells a read then is no end.
func TestResetThatAWriteHasFoundIsNoEnd(t *testing.T) {
	everyWay(t, func(_ *gateway, o *Options) { o.Loops = 1 }, func(t *testing.T, open func(func(peer)) (*gateway, peer)) {
		cut, gone := make(chan struct{}), make(chan struct{})
		g, c := open(func(p peer) {
			readExactly(t, p, 1)
			<-cut
			write(t, p, []byte("half"))
			p.reset(t)
			close(gone)
		})
		write(t, c, []byte("x"))
		g.waitUp(1)
		release := g.hold()
		write(t, c, []byte("more")) // its event is the first of the round
		close(cut)
		<-gone
		release()
		c.mustGetAndBeReset(t, []byte("half"))
	})
}

// waitUp waits until n bytes and the hello went to the instance.
func (g *gateway) waitUp(n uint64) {
	g.t.Helper()
	eventually(g.t, "the bytes came through", func() bool {
		return g.bytes(0, copying) >= n+uint64(len(helloFor(g.t, "raw.test"))) || g.bytes(0, crypting) >= n
	})
}

// An instance that has answered, and closes with the rest of a request unread, sends FIN
// and then RST: the answer is whole.
func TestAnswerBeforeAnUnfinishedRequestIsWhole(t *testing.T) {
	everyWay(t, nil, func(t *testing.T, open func(func(peer)) (*gateway, peer)) {
		answered := make(chan struct{})
		_, c := open(func(p peer) {
			readExactly(t, p, 1)
			write(t, p, []byte("too large"))
			_ = p.CloseWrite()
			<-answered
		})
		write(t, c, []byte("x"))
		if b, err := io.ReadAll(c); err != nil || string(b) != "too large" {
			t.Errorf("%q, %v", b, err)
		}
		close(answered)
		for err := error(nil); err == nil; { // and then the client is told that nobody reads
			_, err = c.Write(make([]byte, 1<<10))
		}
	})
}

// A client that has said all and goes away while it is answered resets the connection:
// the instance must hear that, however much it has to say.
func TestClientThatGoesAwayAfterItsRequestIsPassedOn(t *testing.T) {
	everyWay(t, nil, func(t *testing.T, open func(func(peer)) (*gateway, peer)) {
		heard := make(chan error, 1)
		g, c := open(func(p peer) {
			_, _ = io.ReadAll(p)
			for {
				if _, err := p.Write(make([]byte, 64<<10)); err != nil {
					heard <- err
					return
				}
			}
		})
		write(t, c, []byte("request"))
		_ = c.CloseWrite()
		readExactly(t, c, 1)
		_ = c.raw.Close()
		if err := <-heard; !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) {
			t.Errorf("the instance saw %v", err)
		}
		if got := g.ended(); got != "client_reset" {
			t.Errorf("reason %s", got)
		}
	})
}

func TestStreamsThatTheGatewayEndsAreSeenToBeCut(t *testing.T) {
	for reason, end := range map[string]func(*gateway){
		"idle_timeout":     func(*gateway) {},
		"drained":          func(g *gateway) { g.cancel() },
		"instance_removed": func(g *gateway) { g.CloseBackend((*g.backends.Load())[0].Watch) },
	} {
		t.Run(reason, func(t *testing.T) {
			short := func(_ *gateway, o *Options) {
				o.Timeouts.Drain = 50 * time.Millisecond
				if reason == "idle_timeout" {
					o.Timeouts.Idle = 200 * time.Millisecond
				}
			}
			everyWay(t, short, func(t *testing.T, open func(func(peer)) (*gateway, peer)) {
				done := make(chan struct{})
				g, c := open(func(p peer) {
					defer close(done)
					write(t, p, []byte("half"))
					p.mustGetAndBeReset(t, []byte("half a request"))
				})
				write(t, c, []byte("half a request"))
				readExactly(t, c, 4)
				g.waitUp(14)
				end(g)
				c.mustGetAndBeReset(t, nil)
				<-done
				if got := g.ended(); got != reason {
					t.Errorf("reason %s", got)
				}
			})
		})
	}
}

// parted is a connection whose instance was reset, and whose client does not read.
func parted(t *testing.T, l *loop) (c *conn, reader int32) {
	t.Helper()
	c, reader, _ = passing(t, l)
	if _, errno := nonblock.Send(c.client.fd, make([]byte, 1000)); errno != 0 {
		t.Fatal(errno)
	}
	l.tick()
	c.reason, c.phase, c.last = InstanceReset, parting, l.now
	c.timer.c, c.backend.gone = c, true
	l.stats.open.Add(1)
	l.engine.open.Add(1)
	return c, reader
}

func TestPartingEndsWithoutProgress(t *testing.T) {
	l := testLoop(t)
	c, _ := parted(t, l)
	c.part()
	if c.phase != parting || c.backend.fd >= 0 {
		t.Fatalf("phase %d, backend %d: the bytes under way were not waited for, or the instance was", c.phase, c.backend.fd)
	}
	for l.now += int64(partWait) - 1; c.phase == parting; l.now++ {
		c.part()
	}
	if late := l.now - c.last - int64(partWait); late > 2 || late < 0 {
		t.Errorf("ended %d ns late", late)
	}
}

func TestPartingGoesOnWithProgress(t *testing.T) {
	l := testLoop(t)
	c, reader := parted(t, l)
	nonblock.Send(c.client.fd, make([]byte, 1000)) // a second segment: Unix sockets count by them
	c.part()
	l.now += int64(partWait) - 1
	if n, errno := nonblock.Read(reader, make([]byte, 1000)); n != 1000 || errno != 0 {
		t.Fatal(n, errno)
	}
	c.part()
	l.now += int64(partWait) - 1
	if c.part(); c.phase != parting {
		t.Error("ended, though bytes were taken in that time")
	}
	nonblock.Read(reader, make([]byte, 1000))
	if c.part(); c.phase != closed {
		t.Error("not ended, though all was taken")
	}
}
