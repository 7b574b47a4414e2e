package wg

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/netip"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"sallyport/internal/duplex"
	"sallyport/wg/netstack"
)

// throughTunnel is both ends of a connection through a tunnel of two netstack devices.
func throughTunnel(t *testing.T) (gateway, guest *netstack.Conn) {
	t.Helper()
	gw, g, _ := netstackPair(t)
	at := netip.MustParseAddrPort("10.8.0.2:81")
	l, err := g.Listen(at)
	must(t, err)
	t.Cleanup(func() { must(t, l.Close()) })
	accepted := make(chan net.Conn, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			t.Error(err)
		}
		accepted <- c
	}()
	c, err := dialThrough(t, gw, at)
	must(t, err)
	gateway, guest = c.(*netstack.Conn), (<-accepted).(*netstack.Conn)
	t.Cleanup(func() { gateway.Close(); guest.Close() })
	return gateway, guest
}

func TestStackCountsWhatIsNotAcknowledged(t *testing.T) {
	gateway, guest := throughTunnel(t)
	sent := bytes.Repeat([]byte("0123456789abcdef"), 1<<18) // more than the guest's buffer takes
	go func() { _, _ = gateway.Write(sent) }()
	_, err := guest.Read(make([]byte, 1))
	must(t, err)
	eventually(t, "the sender is stuck", func() bool { return gateway.Unsent() > 0 })
	n, err := io.ReadAll(io.LimitReader(guest, int64(len(sent)-1)))
	must(t, err)
	if len(n) != len(sent)-1 {
		t.Fatalf("%d bytes", len(n))
	}
	eventually(t, "all is acknowledged", func() bool { return gateway.Unsent() == 0 })
}

func TestStackDistinguishesAResetFromAnEnd(t *testing.T) {
	for name, end := range map[string]struct {
		end, reset bool
		want       error // of a write
	}{
		"reset":           {reset: true, want: syscall.ECONNRESET},
		"end":             {end: true},
		"end, then reset": {end: true, reset: true, want: syscall.EPIPE},
	} {
		t.Run(name, func(t *testing.T) {
			gateway, guest := throughTunnel(t)
			_, err := guest.Write([]byte("half"))
			must(t, err)
			eventually(t, "it is acknowledged", func() bool { return guest.Unsent() == 0 })
			if end.end {
				must(t, guest.CloseWrite())
				eventually(t, "the end is acknowledged", func() bool { return guest.Unsent() == 0 })
			}
			if end.reset {
				guest.Reset()
			} else {
				b, err := io.ReadAll(gateway)
				if string(b) != "half" || err != nil || gateway.Gone() {
					t.Errorf("%q, %v, gone: %v", b, err, gateway.Gone())
				}
				return
			}
			if !gateway.WaitGone() || !gateway.Gone() {
				t.Error("it is not known that nobody is there any more")
			}
			if _, err := gateway.Write([]byte("x")); !errors.Is(err, end.want) {
				t.Errorf("the write: %v", err)
			}
			if b, err := io.ReadAll(gateway); string(b) != "half" || err != nil {
				t.Errorf("what came before: %q, %v", b, err)
			}
		})
	}
}

// loopback is both ends of a TCP connection of the kernel's.
func loopback(t *testing.T) (*net.TCPConn, *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	a, err := net.Dial("tcp", l.Addr().String())
	must(t, err)
	b, err := l.Accept()
	must(t, err)
	t.Cleanup(func() { a.Close(); b.Close() })
	return a.(*net.TCPConn), b.(*net.TCPConn)
}

// outq is how many bytes c's peer has not acknowledged.
func outq(t *testing.T, c *net.TCPConn) (n int) {
	t.Helper()
	raw, err := c.SyscallConn()
	must(t, err)
	must(t, raw.Control(func(fd uintptr) { n, err = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ) }))
	must(t, err)
	return n
}

func TestWaitForAResetEndsWithTheConnection(t *testing.T) {
	gateway, _ := throughTunnel(t)
	done := make(chan bool)
	go func() { done <- gateway.WaitGone() }()
	gateway.Close()
	if <-done {
		t.Error("it was not reset")
	}
}

// What an instance's machine does, its gateway and its forwarder pass on.
func TestResetGoesThroughBothEndsOfATunnel(t *testing.T) {
	gateway, guest := throughTunnel(t)
	client, outer := loopback(t)
	inner, service := loopback(t)
	for _, p := range [][2]net.Conn{{outer, gateway}, {guest, inner}} {
		done := make(chan struct{})
		go func() {
			defer close(done)
			duplex.Join(t.Context(), p[0], p[1])
		}()
		t.Cleanup(func() { <-done })
	}
	sent := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	received := make(chan []byte, 1)
	go func() {
		b, _ := io.ReadAll(service)
		received <- b
	}()
	_, err := client.Write(sent)
	must(t, err)
	must(t, client.CloseWrite())
	if b := <-received; !bytes.Equal(b, sent) {
		t.Errorf("%d of %d bytes of the request", len(b), len(sent))
	}
	_, err = service.Write(sent)
	must(t, err)
	eventually(t, "all has left the service", func() bool { return outq(t, service) == 0 })
	must(t, service.SetLinger(0))
	must(t, service.Close())
	if b, err := io.ReadAll(client); !bytes.Equal(b, sent) || !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("%d of %d bytes, then %v", len(b), len(sent), err)
	}
}
