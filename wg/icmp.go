package wg

import (
	"net/netip"

	"golang.org/x/sys/unix"
)

// believable reports whether an IPv4 packet that came through the tunnel may go to
// the stack in this process. All may but some ICMP: what tells of an error must
// quote a TCP segment from own to the very peer that sends it. The stack itself
// asks for neither the peer nor a sequence number, so that a guest who tries our
// 16 bits of port could narrow the way to another guest to nothing. What the
// kernel's stack may hear, rules.go says.
func believable(packet []byte, own netip.Addr) bool {
	const (
		ipHeader    = 20
		fragment    = 0x3f // of the flags and the offset: more fragments, or not the first
		icmpHeader  = 8
		echoReply   = 0
		echoRequest = 8
	)
	if len(packet) < ipHeader || packet[0]&0xf < ipHeader/4 {
		return false
	}
	if packet[protocolField] != unix.IPPROTO_ICMP {
		return true
	}
	icmp := packet[min(int(packet[0]&0xf)*4, len(packet)):]
	if len(icmp) < icmpHeader || packet[6]&fragment != 0 || packet[7] != 0 {
		return false
	}
	if icmp[0] == echoRequest || icmp[0] == echoReply {
		return true
	}
	quoted := icmp[icmpHeader:]
	if len(quoted) < ipHeader || quoted[protocolField] != unix.IPPROTO_TCP {
		return false
	}
	return addressAt(quoted, sourceAddress) == own && addressAt(quoted, destinationAddress) == addressAt(packet, sourceAddress)
}

func addressAt(header []byte, offset int) netip.Addr {
	return netip.AddrFrom4([4]byte(header[offset:]))
}
