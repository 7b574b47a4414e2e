package netstack

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"sallyport/internal/gwtest"
)

// fromPeer is an IPv4 packet with an ICMP message to the gateway.
func fromPeer(from string, message []byte) []byte {
	p := make([]byte, 20, 20+len(message))
	p[0], p[8], p[9] = 4<<4|5, 64, unix.IPPROTO_ICMP
	binary.BigEndian.PutUint16(p[2:], uint16(20+len(message)))
	copy(p[12:], netip.MustParseAddr(from).AsSlice())
	copy(p[16:], []byte{10, 8, 0, 1})
	binary.BigEndian.PutUint16(p[10:], gwtest.Checksum(p))
	return append(p, message...)
}

func TestStackBelievesErrorsOnlyOfThePeerThatTheyAreAbout(t *testing.T) {
	own, peer, other := netip.MustParseAddr("10.8.0.1"), netip.MustParseAddr("10.8.0.2"), netip.MustParseAddr("10.8.0.3")
	ports := make([]byte, 8)
	cut := func(p []byte, n int) []byte { return p[:n] }
	with := func(p []byte, at int, b byte) []byte { p[at] = b; return p }
	aboutTCP := func() []byte { return fromPeer("10.8.0.2", gwtest.TooBig(600, unix.IPPROTO_TCP, own, peer, ports)) }
	for name, tc := range map[string]struct {
		packet []byte
		want   bool
	}{
		"its own connection":        {aboutTCP(), true},
		"that of another peer":      {fromPeer("10.8.0.2", gwtest.TooBig(600, unix.IPPROTO_TCP, own, other, ports)), false},
		"not from here":             {fromPeer("10.8.0.2", gwtest.TooBig(600, unix.IPPROTO_TCP, other, peer, ports)), false},
		"a datagram":                {fromPeer("10.8.0.2", gwtest.TooBig(600, unix.IPPROTO_UDP, own, peer, ports)), false},
		"an echo":                   {fromPeer("10.8.0.2", gwtest.TooBig(600, unix.IPPROTO_ICMP, own, peer, ports)), false},
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
	f.Add(fromPeer("10.8.0.2", gwtest.TooBig(600, unix.IPPROTO_TCP, own, netip.MustParseAddr("10.8.0.2"), make([]byte, 8))))
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
