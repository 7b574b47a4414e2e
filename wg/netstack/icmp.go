package netstack

import (
	"net/netip"

	"golang.org/x/sys/unix"
)

// Offsets in an IPv4 header.
const (
	protocolField      = 9
	sourceAddress      = 12
	destinationAddress = 16
)

// believable reports whether an IPv4 packet that came through the tunnel may go to
// the stack. All packets may except some ICMP: a message about an error must quote a
// TCP segment from own to the very peer that sends it. The stack checks neither the
// peer nor a sequence number, so a guest that tries the 16 bits of our port could
// reduce the path MTU to another guest to nothing.
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
