package wg

import (
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// asNobody runs f on this host, as another user than the gateway's.
func (h *host) asNobody(f func()) {
	h.t.Helper()
	const nobody = 65534
	h.do(func() {
		for _, call := range []uintptr{unix.SYS_SETRESGID, unix.SYS_SETRESUID} { // of this thread, which ends with do
			if _, _, errno := unix.RawSyscall(call, nobody, nobody, nobody); errno != 0 {
				h.t.Fatal(errno)
			}
		}
		f()
	})
}

// The gateway's own sockets reach a guest, those of other users do not.
func TestOtherUsersReachNoGuest(t *testing.T) {
	s := newSite(t)
	guest := s.joined()
	s.gateway.asNobody(func() {
		d := net.Dialer{Timeout: 500 * time.Millisecond}
		if c, err := d.DialContext(t.Context(), "tcp4", guest.String()); err == nil {
			c.Close()
			t.Error("another user reached the guest by TCP")
		}
		c, err := d.DialContext(t.Context(), "udp4", guest.String())
		must(t, err)
		defer c.Close()
		if _, err := c.Write([]byte("hello")); !errors.Is(err, unix.EPERM) {
			t.Errorf("another user sent a datagram: %v", err)
		}
	})
	if dropped(s, "output") == 0 {
		t.Error("it was not the rules that held")
	}
	s.mustReach(guest)
}

// What the kernel sends by itself belongs to no user: it must pass, or guests
// would not learn that a connection is no more.
func TestKernelAnswersGuestsWithoutAUser(t *testing.T) {
	s := hostileSite(t, true)
	at := netip.AddrPortFrom(s.options.Address.Addr(), 1) // nobody listens
	s.guests[0].do(func() {
		raw, err := net.ListenIP("ip4:tcp", &net.IPAddr{IP: s.guests[0].address.AsSlice()})
		must(t, err)
		defer raw.Close()
		const rst, ack = 0x04, 0x10
		_, err = raw.WriteTo(segment(s.guests[0].address, at, ack), &net.IPAddr{IP: at.Addr().AsSlice()})
		must(t, err)
		must(t, raw.SetReadDeadline(time.Now().Add(patience)))
		answer := make([]byte, 100)
		if _, _, err := raw.ReadFrom(answer); err != nil || answer[13]&rst == 0 {
			t.Errorf("answer has flags %#x, %v", answer[13], err)
		}
	})
}

// Nobody outside of the tunnel speaks with an address of it.
func TestTunnelAddressFromElsewhereIsNotHeard(t *testing.T) {
	for _, filtered := range []bool{true, false} {
		s := newSite(t)
		s.options.Guest = !filtered
		s.open()
		stranger := newHost(t)
		cable(s.gateway, stranger, "192.0.2.9", "192.0.2.10")
		var at net.PacketConn
		s.gateway.do(func() {
			var err error
			at, err = net.ListenPacket("udp4", "192.0.2.9:0")
			must(t, err)
		})
		defer at.Close()
		stranger.do(func() {
			lo, err := netlink.LinkByName("lo")
			must(t, err)
			addr, err := netlink.ParseAddr("10.8.0.3/32")
			must(t, err)
			must(t, netlink.AddrAdd(lo, addr))
			for _, from := range []string{"10.8.0.3:0", "192.0.2.10:0"} {
				local, err := net.ResolveUDPAddr("udp4", from)
				must(t, err)
				c, err := net.DialUDP("udp4", local, at.LocalAddr().(*net.UDPAddr))
				must(t, err)
				_, err = c.Write([]byte(from))
				must(t, err)
				must(t, c.Close())
			}
		})
		want := "10.8.0.3:0"
		if filtered {
			want = "192.0.2.10:0"
		}
		b := make([]byte, 100)
		must(t, at.SetReadDeadline(time.Now().Add(patience)))
		n, _, err := at.ReadFrom(b)
		must(t, err)
		if got := string(b[:n]); got != want {
			t.Errorf("filtered %t: the first that is heard is %s", filtered, got)
		}
	}
}

// The host's own programs talk to themselves by the tunnel's address.
func TestOwnTunnelAddressWorksOnLoopback(t *testing.T) {
	s := newSite(t)
	s.open()
	c, err := s.gateway.dial(s.gateway.echo("10.8.0.1:0"), patience)
	must(t, err)
	mustEcho(t, c)
}

// The rules know the interface by its index.
func TestRenamedInterfaceStaysIsolated(t *testing.T) {
	s := hostileSite(t, true)
	s.rename()
	for what, at := range victims(s) {
		if c, err := s.guests[0].dial(at, 500*time.Millisecond); err == nil {
			c.Close()
			t.Errorf("guest reached %s", what)
		}
	}
	if dropped(s, "guests") == 0 {
		t.Error("the guest's packets never came")
	}
}
