package hello

import "iter"

// Protocols that a gateway treats apart, by their names in ALPN (RFC 7301, 6).
const (
	HTTP1      = "http/1.1"
	HTTP2      = "h2"
	PostgreSQL = "postgresql"
	ACMETLS1   = "acme-tls/1" // the proof that a server controls a name (RFC 8737)
)

// ALPN is the checked list of the protocols a client offers, in its order of
// preference (RFC 7301, 3.1). The zero value is a hello without the extension.
type ALPN struct {
	list []byte // ProtocolName entries, each a length byte and 1 to 255 bytes
}

// Empty reports whether the hello has no ALPN extension.
func (a ALPN) Empty() bool { return len(a.list) == 0 }

// Only reports whether proto is the only one in the list.
func (a ALPN) Only(proto string) bool {
	return len(a.list) == 1+len(proto) && string(a.list[1:]) == proto
}

// Offers reports whether proto is in the list.
func (a ALPN) Offers(proto string) bool {
	for list := a.list; len(list) > 0; {
		n := int(list[0])
		if string(list[1:1+n]) == proto {
			return true
		}
		list = list[1+n:]
	}
	return false
}

// All yields the offered protocols. The slices are views on the hello.
func (a ALPN) All() iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for list := a.list; len(list) > 0; {
			n := int(list[0])
			if !yield(list[1 : 1+n : 1+n]) {
				return
			}
			list = list[1+n:]
		}
	}
}
