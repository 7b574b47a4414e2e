package netstack

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sallyport/internal/duplex"
	"sallyport/internal/gwtest"
)

// A connection of a stack answers what package duplex asks of the kernel for a socket.
var (
	_ duplex.Resetter = (*Conn)(nil)
	_ duplex.Sender   = (*Conn)(nil)
	_ duplex.Mortal   = (*Conn)(nil)
)

// patience is how long something that must happen may take.
const patience = 20 * time.Second

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// joined returns the stack of a gateway, the address of an echo server on the stack of
// a guest that it is joined to, and the length of the longest packet that the gateway
// has sent since it was set to 0.
func joined(t *testing.T) (gateway *Stack, echo netip.AddrPort, longest *atomic.Int64) {
	t.Helper()
	echo, longest = netip.MustParseAddrPort("10.8.0.3:80"), new(atomic.Int64)
	gateway, guest := newStack(t, "10.8.0.1"), newStack(t, echo.Addr().String())
	done := make(chan struct{}, 2)
	for _, way := range [][2]*Stack{{gateway, guest}, {guest, gateway}} {
		go func() {
			defer func() { done <- struct{}{} }()
			bufs, sizes := [][]byte{make([]byte, 2000)}, make([]int, 1)
			for {
				if _, err := way[0].Read(bufs, sizes, 0); err != nil {
					return
				}
				if way[0] == gateway {
					longest.Store(max(longest.Load(), int64(sizes[0])))
				}
				_, _ = way[1].Write([][]byte{bufs[0][:sizes[0]]}, 0)
			}
		}()
	}
	l, err := guest.Listen(echo)
	must(t, err)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_, _ = io.Copy(c, c)
			}()
		}
	}()
	t.Cleanup(func() {
		_, _, _ = l.Close(), gateway.Close(), guest.Close()
		<-done
		<-done
	})
	return gateway, echo, longest
}

func newStack(t *testing.T, addr string) *Stack {
	t.Helper()
	s, err := New(netip.MustParseAddr(addr), 1420)
	must(t, err)
	return s
}

// A guest that guesses the gateway's port could narrow the way to another guest.
func TestGuestCannotNarrowTheStacksWayToOthers(t *testing.T) {
	gateway, echo, longest := joined(t)
	c, err := gateway.Dial(t.Context(), echo)
	must(t, err)
	defer c.Close()
	port := c.LocalAddr().(*net.TCPAddr).Port
	_, err = gateway.Write([][]byte{fromPeer("10.8.0.2", gwtest.TooBig(100, unix.IPPROTO_TCP, netip.MustParseAddr("10.8.0.1"), echo.Addr(),
		[]byte{byte(port >> 8), byte(port), 0, 80, 0, 0, 0, 0}))}, 0)
	must(t, err)
	longest.Store(0)
	must(t, c.SetDeadline(time.Now().Add(patience)))
	sent := []byte(strings.Repeat("through the tunnel ", 1000))
	go func() { _, _ = c.Write(sent) }()
	got := make([]byte, len(sent))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != string(sent) {
		t.Fatalf("echo: %v", err)
	}
	if n := longest.Load(); n < 1000 {
		t.Errorf("the longest packet to the other guest has %d bytes", n)
	}
}

func TestPortsOfTheStackAreUsedAgain(t *testing.T) {
	gateway, echo, _ := joined(t)
	const ports = 10
	gateway.stack.SetPortRange(40000, 40000+ports-1)
	short := func() error {
		c, err := gateway.Dial(t.Context(), echo)
		if err != nil {
			return err
		}
		defer c.Close()
		must(t, c.(*Conn).CloseWrite()) // it ends first, and keeps the port for a while
		_, err = io.ReadAll(c)
		return err
	}
	for range ports {
		must(t, short())
	}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	late := time.After(patience)
	for used := 0; used < ports; {
		err := short()
		switch {
		case err == nil:
			used++
			continue
		case !errors.Is(err, syscall.EADDRNOTAVAIL):
			t.Fatal(err)
		}
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("after %s only %d ports were used again", patience, used)
		}
	}
}
