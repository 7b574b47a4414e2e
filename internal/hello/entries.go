package hello

// Numbers of extensions with lists that a gateway does not read, and that the server which
// ends the TLS goes through.
const (
	extGroups         = 10 // RFC 8446, 4.2.7
	extSignatures     = 13 // RFC 8446, 4.2.3
	extPreSharedKey   = 41 // RFC 8446, 4.2.11
	extSignaturesCert = 50 // RFC 8446, 4.2.3
	extKeyShare       = 51 // RFC 8446, 4.2.8
)

// entries counts what an extension's lists hold. What is malformed counts up to there.
func entries(kind uint16, data []byte) int {
	switch kind {
	case extGroups, extSignatures, extSignaturesCert:
		return len(data) / 2
	case extALPN:
		list, _, _ := vector16(data)
		return count(list, 0, vector8, 0)
	case extKeyShare:
		list, _, _ := vector16(data)
		return count(list, 2, vector16, 0)
	case extPreSharedKey:
		identities, rest, _ := vector16(data)
		binders, _, _ := vector16(rest)
		return count(identities, 0, vector16, 4) + count(binders, 0, vector8, 0)
	default:
		return 0
	}
}

// count counts elements of some bytes before a vector and some after it.
func count(list []byte, before int, vector func([]byte) (content, rest []byte, ok bool), after int) (n int) {
	for len(list) > before {
		_, rest, ok := vector(list[before:])
		if n++; !ok || len(rest) < after {
			break
		}
		list = rest[after:]
	}
	return n
}
