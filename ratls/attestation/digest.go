package attestation

import (
	"crypto/sha512"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strconv"
)

// A Format is how a runtime event's name and payload become a digest. Which one
// a machine uses stands in its compose file; a log says it for each event. No
// input of one is an input of the other: the first begins with 0x01, the second
// with '{'.
type Format uint8

// The formats.
const (
	FormatV1 Format = iota // SHA-384(LE32(type) ‖ ":" ‖ name ‖ ":" ‖ payload)
	FormatV2               // SHA-384 of canonical JSON (RFC 8785)
)

// Digest is what the event extends RTMR3 with. A digest listed in a log is never
// used for this: it would prove itself.
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

// appendCanonicalString writes a string in UTF-8 as RFC 8785, 3.2.2.2 wants it:
// escaped is what JSON cannot do without, in its shortest form, and nothing
// else. encoding/json always escapes more (U+2028).
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
