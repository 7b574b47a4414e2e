package proxyproto

import (
	"bytes"
	"errors"
	"net/netip"
)

// MaxSize is the longest header that [Parse] takes. The specification allows
// 64 KiB; this leaves room for a client certificate in a TLV, 1 to 2 KiB.
const MaxSize = 4096

// Header is the content of a PROXY header.
type Header struct {
	// Local: the sender speaks for itself (a health check). There are no
	// addresses; those of the connection hold.
	Local bool
	// Source and Destination are the ends of the forwarded connection, both
	// valid or both not. Not valid: the sender does not know them, or they are
	// not those of a TCP connection, and the addresses of the connection hold.
	// A v4-mapped IPv6 address is given as IPv4, and none has a zone.
	Source, Destination netip.AddrPort
	// TLVs are the checked extensions of version 2, a view on what was parsed.
	TLVs TLVs
}

var (
	// ErrIncomplete: what is there begins like a header; parse again when
	// there is more. [MaxSize] bytes are never incomplete.
	ErrIncomplete = errors.New("proxy header: incomplete")
	// ErrNotProxy: the stream does not begin with a PROXY header.
	ErrNotProxy = errors.New("proxy header: none")
	// ErrTooLarge: a line over 107 bytes or a binary header over MaxSize.
	ErrTooLarge = errors.New("proxy header: too large")
	// ErrMalformed is wrapped by every other refusal.
	ErrMalformed = errors.New("proxy header: malformed")
)

// Parse reads the header at the start of b and returns it with its length.
// Errors are the four above, and no other answer comes with one. It allocates
// nothing for version 2 headers and may be called concurrently.
func Parse(b []byte) (h Header, n int, err error) {
	switch {
	case len(b) == 0:
		return Header{}, 0, ErrIncomplete
	case b[0] == signatureV1[0]:
		h, n, err = parseV1(b)
	default:
		h, n, err = parseV2(b)
	}
	if err != nil {
		return Header{}, 0, err
	}
	return h, n, nil
}

// beginsWith checks the start of b against a signature, as far as b goes.
func beginsWith(b []byte, signature string) error {
	n := min(len(b), len(signature))
	switch {
	case !bytes.Equal(b[:n], []byte(signature[:n])):
		return ErrNotProxy
	case n < len(signature):
		return ErrIncomplete
	}
	return nil
}
