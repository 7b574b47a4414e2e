package attestation

import (
	"crypto/sha512"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strconv"
)

// A Format determines how the name and the payload of a runtime event become a digest. The
// compose file of a CVM selects one, and a log has it for each event. No input of one format
// is an input of the other: FormatV1 begins with 0x01, FormatV2 with '{'.
type Format uint8

// The formats.
const (
	FormatV1 Format = iota // SHA-384(LE32(type) ‖ ":" ‖ name ‖ ":" ‖ payload)
	FormatV2               // SHA-384 of canonical JSON (RFC 8785)
)

// Digest returns the SHA-384 that the event extends RTMR3 with. It is always computed: a
// digest listed in a log would prove itself.
func (e RuntimeEvent) Digest() [48]byte {
	return sha512.Sum384(e.preimage())
}

func (e RuntimeEvent) preimage() []byte {
	if e.Format == FormatV2 {
		b := make([]byte, 0, len(`{"name":"","payload":"","type":134217729}`)+len(e.Name)+hex.EncodedLen(len(e.Payload)))
		b = append(b, `{"name":`...)
		b = appendCanonicalString(b, e.Name)
		b = append(b, `,"payload":"`...)
		b = hex.AppendEncode(b, e.Payload)
		b = append(b, `","type":`...)
		b = strconv.AppendUint(b, RuntimeEventType, 10)
		return append(b, '}')
	}
	b := make([]byte, 0, 4+2+len(e.Name)+len(e.Payload))
	b = binary.LittleEndian.AppendUint32(b, RuntimeEventType)
	b = append(b, ':')
	b = append(b, e.Name...)
	b = append(b, ':')
	return append(b, e.Payload...)
}

// appendCanonicalString appends a string in UTF-8 as in RFC 8785, 3.2.2.2: it escapes only
// what JSON requires, in the shortest form. encoding/json always escapes more (U+2028).
func appendCanonicalString(to []byte, s string) []byte {
	to = append(to, '"')
	for _, c := range []byte(s) {
		switch c {
		case '"', '\\':
			to = append(to, '\\', c)
		case '\b':
			to = append(to, `\b`...)
		case '\t':
			to = append(to, `\t`...)
		case '\n':
			to = append(to, `\n`...)
		case '\f':
			to = append(to, `\f`...)
		case '\r':
			to = append(to, `\r`...)
		default:
			if c < ' ' {
				to = fmt.Appendf(to, `\u%04x`, c)
			} else {
				to = append(to, c)
			}
		}
	}
	return append(to, '"')
}
