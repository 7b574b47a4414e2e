package gwtest

import (
	"encoding/binary"
	"net/netip"
)

// TooBig returns an ICMP error "fragmentation needed" (RFC 792): a packet from one
// address to another was longer than mtu. The packet's payload begins with begin.
func TooBig(mtu uint16, protocol byte, from, to netip.Addr, begin []byte) []byte {
	m := []byte{3, 4, 0, 0, 0, 0, byte(mtu >> 8), byte(mtu)}
	quoted := make([]byte, 20)
	quoted[0], quoted[8], quoted[9] = 4<<4|5, 64, protocol
	binary.BigEndian.PutUint16(quoted[2:], 1400)
	copy(quoted[12:], from.AsSlice())
	copy(quoted[16:], to.AsSlice())
	binary.BigEndian.PutUint16(quoted[10:], Checksum(quoted))
	m = append(append(m, quoted...), begin...)
	binary.BigEndian.PutUint16(m[2:], Checksum(m))
	return m
}

// Checksum returns the Internet checksum of b, whose length is even (RFC 1071).
func Checksum(b []byte) uint16 {
	var sum uint32
	for i := 0; i < len(b); i += 2 {
		sum += uint32(b[i])<<8 | uint32(b[i+1])
	}
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}
