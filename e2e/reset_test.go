package e2e

import (
	"crypto/tls"
	"net"
	"strconv"
	"testing"

	"sallyport/internal/gwtest"
)

// reset closes c with a RST instead of a FIN.
func reset(c *net.TCPConn) {
	c.SetLinger(0)
	c.Close()
}

// A client that resets its connection, in every state before it is relayed.
func TestResetByTheClientDuringSetup(t *testing.T) {
	w := newWorld(t)
	g := w.start()
	l := w.cvms[0].host.Listen(t, ":443")
	w.cvms[0].host.Listen(t, ":80")
	hello := gwtest.Hello{ServerName: name("alpha", "s")}.Record()
	terminated := gwtest.Hello{ServerName: name("alpha", "80")}.Record()
	fds, goroutines, _ := g.atRest()
	for _, tt := range []struct {
		name  string
		reach func(c *net.TCPConn)
	}{
		{"AtOnce", func(*net.TCPConn) {}},
		{"AfterOneByte", func(c *net.TCPConn) { mustWrite(t, c, hello[:1]) }},
		{"InsideTheHello", func(c *net.TCPConn) { mustWrite(t, c, hello[:len(hello)/2]) }},
		{"InsideAnSSLRequest", func(c *net.TCPConn) { mustWrite(t, c, []byte{0, 0, 0, 8, 4, 210}) }},
		{"AfterAnSSLRequest", func(c *net.TCPConn) {
			mustWrite(t, c, []byte{0, 0, 0, 8, 4, 210, 22, 47})
			mustRead(t, c, "S")
		}},
		{"AfterTheHello", func(c *net.TCPConn) { mustWrite(t, c, hello) }},
		{"WhileItIsDialled", func(c *net.TCPConn) {
			mustWrite(t, c, hello)
			accept(t, l).Close()
		}},
		{"InsideTheHandshake", func(c *net.TCPConn) {
			mustWrite(t, c, terminated)
			mustReadSome(t, c)
		}},
		{"AfterARefusal", func(c *net.TCPConn) {
			mustWrite(t, c, helloFor(name("nobody", "80")))
			mustReadSome(t, c)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w, g := w.in(t), g.in(t)
			for range 10 {
				c := w.dial()
				tt.reach(c)
				reset(c)
			}
			g.waitFor("every connection to end", "gateway_connections_open", 0)
		})
	}
	g.mustHoldNoMoreThan(fds, goroutines)
}

// Either side resets a connection that is relayed: in every mode and state the
// other side is told, and nothing is left.
func TestResetWhileRelaying(t *testing.T) {
	states := []struct {
		name  string
		reach func(f *flow)
	}{
		{"Idle", func(*flow) {}},
		{"WithBytesUnderWay", func(f *flow) {
			// More than the sockets between hold: writers and readers are both waiting.
			go func() { _ = copyAll(f.client, gwtest.Stream(1, 64<<20)) }()
			go func() { _ = copyAll(f.instance, gwtest.Stream(2, 64<<20)) }()
			_, _ = f.instance.Read(make([]byte, 1<<20))
		}},
		{"AfterTheClientsHalfClose", func(f *flow) { f.client.CloseWrite(); _, _ = f.instance.Read(make([]byte, 1)) }},
		{"AfterTheInstancesHalfClose", func(f *flow) { f.instance.CloseWrite(); _, _ = f.client.Read(make([]byte, 1)) }},
	}
	eachMode(t, func(t *testing.T, w *world, g *gateway, m mode) {
		first := w.flow(m)
		first.raw.Close()
		first.instance.Close()
		fds, goroutines, _ := g.atRest()
		for _, s := range states {
			for _, side := range []string{"Client", "Instance"} {
				t.Run(s.name+"By"+side, func(t *testing.T) {
					w, g := w.in(t), g.in(t)
					f := w.flow(m)
					s.reach(f)
					if side == "Client" {
						reset(f.raw)
						drainUntilEnd(f.instance)
					} else {
						reset(f.instance)
						drainUntilEnd(f.raw)
					}
					g.waitFor("the connection to end", "gateway_connections_open", 0)
				})
			}
		}
		g.mustHoldNoMoreThan(fds, goroutines)
	})
}

// A client that goes away inside of its TLS handshake with the gateway, and one
// that breaks the record layer after it.
func TestBrokenRecordEndsTheConnection(t *testing.T) {
	w := newWorld(t)
	g := w.start()
	l := w.cvms[0].host.Listen(t, ":0")
	raw := w.dial()
	w.handshake(raw, &tls.Config{ServerName: name("alpha", strconv.Itoa(l.Addr().(*net.TCPAddr).Port))})
	instance := accept(t, l)
	defer instance.Close()
	mustWrite(t, raw, []byte{23, 3, 3, 0, 32})
	mustWrite(t, raw, make([]byte, 32))
	drainUntilEnd(raw)
	drainUntilEnd(instance)
	g.waitFor("the reason", `gateway_connections_total{reason="bad_record"}`, 1)
}

// drainUntilEnd reads until there is no more to come, however that is said.
func drainUntilEnd(c net.Conn) {
	buf := make([]byte, 256<<10)
	for {
		if _, err := c.Read(buf); err != nil {
			return
		}
	}
}

func mustReadSome(t *testing.T, c net.Conn) {
	t.Helper()
	if _, err := c.Read(make([]byte, 1)); err != nil {
		t.Fatalf("read: %v", err)
	}
}
