package wg

import (
	"bytes"
	"encoding/binary"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// tooBig is an ICMP error "fragmentation needed" (RFC 792) that a packet from one
// address to another was longer than mtu. The packet's payload begins with begin.
func tooBig(mtu uint16, protocol byte, from, to netip.Addr, begin []byte) []byte {
	m := []byte{3, 4, 0, 0, 0, 0, byte(mtu >> 8), byte(mtu)}
	quoted := make([]byte, 20)
	quoted[0], quoted[8], quoted[9] = 4<<4|5, 64, protocol
	binary.BigEndian.PutUint16(quoted[2:], 1400)
	copy(quoted[12:], from.AsSlice())
	copy(quoted[16:], to.AsSlice())
	binary.BigEndian.PutUint16(quoted[10:], checksum(quoted))
	m = append(append(m, quoted...), begin...)
	binary.BigEndian.PutUint16(m[2:], checksum(m))
	return m
}

func checksum(b []byte) uint16 {
	var sum uint32
	for i := 0; i < len(b); i += 2 {
		sum += uint32(b[i])<<8 | uint32(b[i+1])
	}
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}

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
		evil.sendICMP(evil.address, tooBig(600, unix.IPPROTO_ICMP, netip.MustParseAddr("192.0.2.5"), client, echoReply))
		evil.sendICMP(evil.address, tooBig(600, unix.IPPROTO_ICMP, own, other, echoReply))
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
		g.sendICMP(g.address, tooBig(1000, unix.IPPROTO_TCP, s.options.Address.Addr(), g.address, segment[:8]))
		return s.gateway.pathMTU(g.address) == 1000
	})
}

// fromPeer is an IPv4 packet with an ICMP message to the gateway.
func fromPeer(from string, message []byte) []byte {
	p := make([]byte, 20, 20+len(message))
	p[0], p[8], p[9] = 4<<4|5, 64, unix.IPPROTO_ICMP
	binary.BigEndian.PutUint16(p[2:], uint16(20+len(message)))
	copy(p[12:], netip.MustParseAddr(from).AsSlice())
	copy(p[16:], []byte{10, 8, 0, 1})
	binary.BigEndian.PutUint16(p[10:], checksum(p))
	return append(p, message...)
}

func TestStackHearsOfErrorsOnlyFromThePeerItSpeaksTo(t *testing.T) {
	own, peer, other := netip.MustParseAddr("10.8.0.1"), netip.MustParseAddr("10.8.0.2"), netip.MustParseAddr("10.8.0.3")
	ports := make([]byte, 8)
	cut := func(p []byte, n int) []byte { return p[:n] }
	with := func(p []byte, at int, b byte) []byte { p[at] = b; return p }
	aboutTCP := func() []byte { return fromPeer("10.8.0.2", tooBig(600, unix.IPPROTO_TCP, own, peer, ports)) }
	for name, tc := range map[string]struct {
		packet []byte
		want   bool
	}{
		"its own connection":        {aboutTCP(), true},
		"that of another peer":      {fromPeer("10.8.0.2", tooBig(600, unix.IPPROTO_TCP, own, other, ports)), false},
		"not from here":             {fromPeer("10.8.0.2", tooBig(600, unix.IPPROTO_TCP, other, peer, ports)), false},
		"a datagram":                {fromPeer("10.8.0.2", tooBig(600, unix.IPPROTO_UDP, own, peer, ports)), false},
		"an echo":                   {fromPeer("10.8.0.2", tooBig(600, unix.IPPROTO_ICMP, own, peer, ports)), false},
		"the first of fragments":    {with(aboutTCP(), 6, 0x20), false},
		"a later fragment":          {with(aboutTCP(), 7, 1), false},
		"may not be fragmented":     {with(aboutTCP(), 6, 0x40), true},
		"cut in the quoted address": {cut(aboutTCP(), 20+8+19), false},
		"cut in the header":         {cut(aboutTCP(), 20+7), false},
		"options beyond the end":    {cut(with(aboutTCP(), 0, 4<<4|15), 30), false},
		"a header of 16 bytes":      {with(aboutTCP(), 0, 4<<4|4), false},
		"an echo request":           {fromPeer("10.8.0.2", []byte{8, 0, 0, 0, 0, 0, 0, 0}), true},
		"no ICMP":                   {with(cut(aboutTCP(), 20), 9, unix.IPPROTO_TCP), true},
		"nothing":                   {nil, false},
	} {
		if got := believable(tc.packet, own); got != tc.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

func FuzzBelievable(f *testing.F) {
	own := netip.MustParseAddr("10.8.0.1")
	f.Add(fromPeer("10.8.0.2", tooBig(600, unix.IPPROTO_TCP, own, netip.MustParseAddr("10.8.0.2"), make([]byte, 8))))
	f.Fuzz(func(t *testing.T, packet []byte) {
		if !believable(packet, own) || packet[9] != unix.IPPROTO_ICMP {
			return
		}
		message := packet[packet[0]&0xf*4:]
		if message[0] != 0 && message[0] != 8 && !bytes.Equal(message[8+16:8+20], packet[12:16]) {
			t.Errorf("an error about somebody else is believed: %x", packet)
		}
	})
}
