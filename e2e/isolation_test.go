package e2e

import (
	"context"
	"io"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"sallyport/internal/gwtest"
)

// A hostile CVM routes everything into its tunnel. All that comes out at the
// gateway's end are the answers to connections which the gateway has made. The
// gateway's machine even forwards packets, as a router would.
func TestCVMReachesNobodyThroughItsTunnel(t *testing.T) {
	w := newWorld(t)
	evil, victim := w.cvms[0], w.cvms[1]
	evil.guest.Allowed = prefixes("10.8.0.0/16", "192.0.2.0/24", "198.51.100.4/30")
	victim.guest.Allowed = prefixes("10.8.0.0/16", "198.51.100.0/30")
	g := w.start()
	w.gateway.Sysctl(t, "ipv4/ip_forward", "1")
	w.flowTo(evil, modes[0]).mustEcho(t) // its tunnel works
	w.flowTo(victim, modes[0]).mustEcho(t)

	victim.host.Listen(t, ":8000")
	w.client.Listen(t, ":8000")
	w.gateway.Listen(t, ":8000")
	w.gateway.Listen(t, ":22")
	udp := w.listenUDP(t, w.gateway, ":9000")
	for _, addr := range []string{
		"10.8.0.3:8000",     // the other CVM, through the tunnel
		"198.51.100.6:8000", // and by its own address
		"192.0.2.2:8000",    // the gateway's network
		"192.0.2.1:443", "198.51.100.5:443",
		tunnelAddr + ":443", tunnelAddr + ":22", tunnelAddr + ":8000", tunnelAddr + ":9901",
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 700*time.Millisecond)
		c, err := evil.host.Dial(ctx, addr)
		cancel()
		if err == nil {
			c.Close()
			t.Errorf("the CVM reached %s", addr)
		}
	}

	// Datagrams are lost without a word: send some, then see that none came.
	err := evil.host.Do(func() error {
		c, err := net.Dial("udp", tunnelAddr+":9000")
		if err != nil {
			return err
		}
		defer c.Close()
		for range 5 {
			_, _ = c.Write([]byte("hello")) // an ICMP error would be an answer, too
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	w.flowTo(evil, modes[0]).mustEcho(t) // later through the same tunnel than the datagrams
	udp.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if n, _, err := udp.ReadFrom(make([]byte, 64)); err == nil {
		t.Errorf("a datagram of %d bytes came through", n)
	}
	if g.get("/healthz") != "ok\n" {
		t.Error("the gateway does not answer itself any more")
	}
}

// A CVM that sends with the address of another one is not heard: the answer to a
// connection of the gateway's comes from its own key or not at all.
func TestCVMCannotTakeTheAddressOfAnother(t *testing.T) {
	w := newWorld(t)
	evil, victim := w.cvms[0], w.cvms[1]
	w.start()
	l := victim.host.Listen(t, ":443")
	// The evil one has the address as well, and would answer.
	evil.tunnel.Signal(t, syscall.SIGKILL)
	<-evil.tunnel.Done()
	evil.guest.Address = netip.MustParseAddr("10.8.0.3")
	evil.shakeHands(t)
	evil.host.Listen(t, ":443")

	for range 10 {
		c := w.dial()
		hello := gwtest.Hello{ServerName: name("beta", "s")}.Record()
		mustWrite(t, c, hello)
		instance := accept(t, l)
		mustRead(t, instance, string(hello))
		mustWrite(t, instance, []byte("victim"))
		mustRead(t, c, "victim")
		instance.Close()
		if rest, err := io.ReadAll(c); err != nil || len(rest) > 0 {
			t.Errorf("%q, %v", rest, err)
		}
	}
}

func (w *world) listenUDP(t *testing.T, h *gwtest.Host, addr string) net.PacketConn {
	t.Helper()
	var c net.PacketConn
	err := h.Do(func() (err error) {
		c, err = net.ListenPacket("udp4", addr)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}
