package proxyproto

// Version 1 is one line:
//
//	PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n
//	PROXY TCP6 2001:db8::1 2001:db8::2 56324 443\r\n
//	PROXY UNKNOWN …\r\n
//
// with exactly one space between the parts.

import (
	"bytes"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

const (
	signatureV1 = "PROXY "
	maxV1       = 107 // with CR LF; section 2.1
)

func parseV1(b []byte) (Header, int, error) {
	if err := beginsWith(b, signatureV1); err != nil {
		return Header{}, 0, err
	}
	window := b[:min(len(b), maxV1)]
	end := bytes.IndexAny(window, "\r\n")
	switch {
	case end >= 0 && window[end] == '\n': // a bare LF ends nothing
		return Header{}, 0, fmt.Errorf("%w: line does not end with CR LF", ErrMalformed)
	case end < 0 || end+1 == len(window):
		if len(window) == maxV1 {
			return Header{}, 0, ErrTooLarge
		}
		return Header{}, 0, ErrIncomplete
	case window[end+1] != '\n':
		return Header{}, 0, fmt.Errorf("%w: line does not end with CR LF", ErrMalformed)
	}
	h, err := parseLine(string(window[len(signatureV1):end]))
	return h, end + 2, err
}

// parseLine reads what is between "PROXY " and the line's end.
func parseLine(line string) (Header, error) {
	parts := strings.Split(line, " ")
	is4 := false
	switch parts[0] {
	case "UNKNOWN": // whatever follows must be ignored
		return Header{}, nil
	case "TCP4":
		is4 = true
	case "TCP6":
	default:
		return Header{}, fmt.Errorf("%w: protocol %q", ErrMalformed, parts[0])
	}
	if len(parts) != 5 {
		return Header{}, fmt.Errorf("%w: %d parts after PROXY, want 5", ErrMalformed, len(parts))
	}
	source, err := parseEnd(parts[1], parts[3], is4)
	if err != nil {
		return Header{}, err
	}
	destination, err := parseEnd(parts[2], parts[4], is4)
	if err != nil {
		return Header{}, err
	}
	return Header{Source: source, Destination: destination}, nil
}

// parseEnd reads one address and its port. netip.ParseAddr takes zones, which
// the specification does not; ParseUint takes leading zeros, which it forbids.
func parseEnd(address, port string, is4 bool) (netip.AddrPort, error) {
	ip, err := netip.ParseAddr(address)
	if err != nil || ip.Is4() != is4 || ip.Zone() != "" {
		return netip.AddrPort{}, fmt.Errorf("%w: address %q", ErrMalformed, address)
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil || len(port) > 1 && port[0] == '0' {
		return netip.AddrPort{}, fmt.Errorf("%w: port %q", ErrMalformed, port)
	}
	return netip.AddrPortFrom(ip.Unmap(), uint16(number)), nil
}
