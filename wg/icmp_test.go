package wg

import (
	"encoding/binary"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"sallyport/internal/gwtest"
)

// sendICMP sends a message from this host to the gateway's tunnel address.
func (h *host) sendICMP(from netip.Addr, message []byte) {
	h.t.Helper()
	h.do(func() {
		raw, err := net.DialIP("ip4:icmp", &net.IPAddr{IP: from.AsSlice()}, &net.IPAddr{IP: net.IPv4(10, 8, 0, 1)})
		must(h.t, err)
		defer raw.Close()
		_, err = raw.Write(message)
		must(h.t, err)
	})
}

// pathMTU is what this host has learnt of the way to an address; 0: nothing.
func (h *host) pathMTU(to netip.Addr) (mtu int) {
	h.t.Helper()
	h.do(func() {
		routes, err := netlink.RouteGet(to.AsSlice())
		must(h.t, err)
		mtu = routes[0].MTU
	})
	return mtu
}

// A guest that says that the way to somebody else is narrow is not believed.
func TestGuestCannotNarrowTheWayToOthers(t *testing.T) {
	own, client, other := netip.MustParseAddr("10.8.0.1"), netip.MustParseAddr("192.0.2.6"), netip.MustParseAddr("10.8.0.3")
	echoReply := make([]byte, 8)
	for _, filtered := range []bool{true, false} {
		s := hostileSite(t, filtered)
		evil := s.guests[0]
		evil.sendICMP(evil.address, gwtest.TooBig(600, unix.IPPROTO_ICMP, netip.MustParseAddr("192.0.2.5"), client, echoReply))
		evil.sendICMP(evil.address, gwtest.TooBig(600, unix.IPPROTO_ICMP, own, other, echoReply))
		if filtered {
			eventually(t, "both errors are dropped", func() bool { return dropped(s, "guests") >= 2 })
		}
		for _, to := range []netip.Addr{client, other} {
			if filtered {
				if got := s.gateway.pathMTU(to); got != 0 {
					t.Errorf("path MTU to %s is %d", to, got)
				}
				continue
			}
			// Without the rules it works, so it is the rules that hold.
			eventually(t, "the path MTU becomes smaller", func() bool { return s.gateway.pathMTU(to) == 600 })
		}
	}
}

// What a guest says of the gateway's own connection to it is heard.
func TestGuestNarrowsTheWayToItself(t *testing.T) {
	s := newSite(t)
	s.open()
	s.join(s.guests[0])
	g := s.guests[0]
	var raw *net.IPConn
	g.do(func() {
		var err error
		raw, err = net.ListenIP("ip4:tcp", &net.IPAddr{IP: g.address.AsSlice()})
		must(t, err)
	})
	defer raw.Close()
	c, err := s.dial(g.echo(g.address.String()+":0"), patience)
	must(t, err)
	defer c.Close()
	must(t, raw.SetReadDeadline(time.Now().Add(patience)))
	eventually(t, "the path MTU becomes smaller", func() bool {
		_, err := c.Write([]byte("ping"))
		must(t, err)
		segment, head := make([]byte, 1500), 0
		for n := 0; n == head; head = int(segment[12]>>4) * 4 { // acknowledgements alone
			n, _, err = raw.ReadFrom(segment)
			must(t, err)
		}
		// The number of the byte after the four is under way in any case.
		binary.BigEndian.PutUint32(segment[4:], binary.BigEndian.Uint32(segment[4:])+4)
		g.sendICMP(g.address, gwtest.TooBig(1000, unix.IPPROTO_TCP, s.options.Address.Addr(), g.address, segment[:8]))
		return s.gateway.pathMTU(g.address) == 1000
	})
}
