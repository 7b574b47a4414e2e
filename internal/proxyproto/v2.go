package proxyproto

// Version 2 is binary:
//
//	signature (12) | 2, command | family, protocol | length (2) | addresses | TLVs
//
// length counts what follows it. A LOCAL header's family and content are
// ignored, whatever they are; of the others, UNSPEC has TLVs and no addresses.

import (
	"encoding/binary"
	"fmt"
	"net/netip"
)

const (
	signatureV2 = "\r\n\r\n\x00\r\nQUIT\n"
	headerV2    = len(signatureV2) + 4

	commandLocal = 0x20 // version 2 in the upper half
	commandProxy = 0x21

	unspec   = 0x00
	tcp4     = 0x11
	udp4     = 0x12
	tcp6     = 0x21
	udp6     = 0x22
	unix     = 0x31
	unixgram = 0x32

	lengthTCP4 = 2*4 + 2*2
	lengthTCP6 = 2*16 + 2*2
)

func parseV2(b []byte) (Header, int, error) {
	n, err := lengthV2(b)
	if err != nil {
		return Header{}, 0, err
	}
	whole := b[:n:n]
	if whole[12] == commandLocal {
		return Header{Local: true}, n, nil
	}
	h, rest, err := parseAddresses(whole[13], whole[headerV2:])
	if err != nil {
		return Header{}, 0, err
	}
	h.TLVs = TLVs{rest}
	return h, n, h.TLVs.check(whole)
}

// lengthV2 checks the fixed part byte by byte, so that the first wrong one is
// decisive, and returns the length of the header once all of it is there.
func lengthV2(b []byte) (int, error) {
	if err := beginsWith(b, signatureV2); err != nil {
		return 0, err
	}
	if len(b) > 12 && b[12] != commandLocal && b[12] != commandProxy {
		return 0, fmt.Errorf("%w: version and command 0x%02x", ErrMalformed, b[12])
	}
	if len(b) > 13 && b[12] == commandProxy && !knownFamily(b[13]) {
		return 0, fmt.Errorf("%w: family and protocol 0x%02x", ErrMalformed, b[13])
	}
	if len(b) < headerV2 {
		return 0, ErrIncomplete
	}
	n := headerV2 + int(binary.BigEndian.Uint16(b[14:]))
	switch {
	case n > MaxSize:
		return 0, ErrTooLarge
	case n > len(b):
		return 0, ErrIncomplete
	}
	return n, nil
}

func knownFamily(family byte) bool {
	switch family {
	case unspec, tcp4, udp4, tcp6, udp6, unix, unixgram:
		return true
	}
	return false
}

// parseAddresses reads the address block and returns what follows it. UDP and
// Unix sockets fall back to "no address", as the specification asks of
// receivers that do not support them: a Unix name is not an address here, and no handshake
// proves the source of a datagram, so no policy may depend on it.
func parseAddresses(family byte, content []byte) (h Header, rest []byte, err error) {
	size := 0
	switch family {
	case tcp4, udp4:
		size = lengthTCP4
	case tcp6, udp6:
		size = lengthTCP6
	case unix, unixgram:
		size = 2 * 108
	}
	if len(content) < size {
		return Header{}, nil, fmt.Errorf("%w: %d bytes of addresses, want %d", ErrMalformed, len(content), size)
	}
	block, rest := content[:size], content[size:]
	switch family {
	case tcp4:
		h.Source = endpoint(block[0:4], block[8:10])
		h.Destination = endpoint(block[4:8], block[10:12])
	case tcp6:
		h.Source = endpoint(block[0:16], block[32:34])
		h.Destination = endpoint(block[16:32], block[34:36])
	}
	return h, rest, nil
}

func endpoint(address, port []byte) netip.AddrPort {
	ip, _ := netip.AddrFromSlice(address) // 4 or 16 bytes are always one
	return netip.AddrPortFrom(ip.Unmap(), binary.BigEndian.Uint16(port))
}

// AppendV2 appends h as a version 2 header to dst. Two IPv4 addresses are sent
// as such, others as IPv6, mapped where needed; if one is not valid, or h is
// local, none is sent. A local header has no TLVs either; the others are sent
// with a CRC32C among them computed again.
func AppendV2(dst []byte, h Header) []byte {
	start := len(dst)
	dst = append(dst, signatureV2...)
	src, to := h.Source.Addr().Unmap(), h.Destination.Addr().Unmap()
	switch {
	case h.Local:
		return append(dst, commandLocal, unspec, 0, 0)
	case !h.Source.IsValid() || !h.Destination.IsValid():
		dst = append(dst, commandProxy, unspec, 0, 0)
	case src.Is4() && to.Is4():
		dst = append(dst, commandProxy, tcp4, 0, 0)
		src4, to4 := src.As4(), to.As4()
		dst = append(dst, src4[:]...)
		dst = append(dst, to4[:]...)
		dst = appendPorts(dst, h)
	default:
		src16, to16 := src.As16(), to.As16()
		dst = append(dst, commandProxy, tcp6, 0, 0)
		dst = append(dst, src16[:]...)
		dst = append(dst, to16[:]...)
		dst = appendPorts(dst, h)
	}
	dst = append(dst, h.TLVs.raw...)
	binary.BigEndian.PutUint16(dst[start+14:], uint16(len(dst)-start-headerV2))
	h.TLVs.fillChecksum(dst[start:])
	return dst
}

func appendPorts(dst []byte, h Header) []byte {
	dst = binary.BigEndian.AppendUint16(dst, h.Source.Port())
	return binary.BigEndian.AppendUint16(dst, h.Destination.Port())
}
