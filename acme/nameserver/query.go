package nameserver

import (
	"encoding/binary"

	"github.com/miekg/dns"
)

const (
	headerSize = 12
	optSize    = 11 // an OPT record without options

	// maxQuery bounds a query, in bytes. The longest question has 271; the rest is
	// for padding, cookies and whatever else clients say in options.
	maxQuery = 4096
	// maxRecords bounds the records that a query may carry besides its question. A
	// query has an OPT, perhaps a signature.
	maxRecords = 4
)

// The bits of a header's flags that are used here (RFC 1035, 4.1.1).
const (
	flagResponse  = 1 << 15
	flagAuthority = 1 << 10
	flagTruncated = 1 << 9
	flagRecursion = 1 << 8 // desired
	opcodeMask    = 0xF << 11
)

// query is what a client asks. It refers to the message that it was read from.
type query struct {
	id       uint16
	flags    uint16
	question []byte // as it was sent; empty if it could not be read
	qtype    uint16
	qclass   uint16
	name     [maxWireName]byte // in lower case
	nameSize int

	edns    bool // there is an OPT; else the rest is zero
	size    uint16
	version uint8
	dnssec  bool // DO, which an answer repeats (RFC 3225, 3)
}

// read reads a message into q. It reports false if the message deserves no answer:
// it is too short, or an answer itself, and who answers those can be made to talk
// to another server forever. Otherwise rcode is what can be said already, else
// success. It only looks: the message may be anything.
func (q *query) read(msg []byte) (rcode int, ok bool) {
	*q = query{}
	if len(msg) < headerSize {
		return 0, false
	}
	q.id = binary.BigEndian.Uint16(msg)
	q.flags = binary.BigEndian.Uint16(msg[2:])
	if q.flags&flagResponse != 0 {
		return 0, false
	}
	if q.flags&opcodeMask != dns.OpcodeQuery<<11 {
		return dns.RcodeNotImplemented, true // the rest has another meaning
	}
	questions := binary.BigEndian.Uint16(msg[4:])
	answers := int(binary.BigEndian.Uint16(msg[6:]))
	authorities := int(binary.BigEndian.Uint16(msg[8:]))
	additional := int(binary.BigEndian.Uint16(msg[10:]))
	// More than one question means nothing (RFC 9619).
	if questions != 1 || answers+authorities+additional > maxRecords {
		return dns.RcodeFormatError, true
	}
	rest, ok := q.readQuestion(msg[headerSize:])
	for i := 0; ok && i < answers+authorities+additional; i++ {
		rest, ok = q.readRecord(rest, i >= answers+authorities)
	}
	if !ok || len(rest) > 0 {
		return dns.RcodeFormatError, true
	}
	if q.version > 0 {
		return dns.RcodeBadVers, true
	}
	return dns.RcodeSuccess, true
}

// readQuestion reads the question at the start of b. Its name cannot be compressed:
// there is nothing in front of it to point to.
func (q *query) readQuestion(b []byte) (rest []byte, ok bool) {
	for n := 0; n < len(b) && n < maxWireName; {
		size := int(b[n])
		switch {
		case size == 0:
			if n++; len(b) < n+4 {
				return nil, false
			}
			q.nameSize = n
			q.question = b[:n+4]
			q.qtype = binary.BigEndian.Uint16(b[n:])
			q.qclass = binary.BigEndian.Uint16(b[n+2:])
			lower(q.name[:n], b)
			return b[n+4:], true
		case size > maxLabel:
			return nil, false
		}
		n += 1 + size
	}
	return nil, false
}

// lower copies a name in lower case. A length is at most 63 and thus no letter.
func lower(dst, src []byte) {
	for i := range dst {
		c := src[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		dst[i] = c
	}
}

// readRecord steps over the record at the start of b, and reads it if it is the OPT.
func (q *query) readRecord(b []byte, additional bool) (rest []byte, ok bool) {
	name := nameLength(b)
	if name == 0 || len(b) < name+10 {
		return nil, false
	}
	rrtype := binary.BigEndian.Uint16(b[name:])
	end := name + 10 + int(binary.BigEndian.Uint16(b[name+8:]))
	if len(b) < end {
		return nil, false
	}
	if rrtype == dns.TypeOPT {
		// One, of the root, where it belongs (RFC 6891, 6.1.1).
		if q.edns || name != 1 || !additional {
			return nil, false
		}
		q.edns = true
		q.size = binary.BigEndian.Uint16(b[3:])
		q.version = b[6]
		q.dnssec = b[7]&0x80 != 0
	}
	return b[end:], true
}

// nameLength is the length of the name at the start of b, 0 if there is none. It
// follows no pointer, which would end the name.
func nameLength(b []byte) int {
	for n := 0; n < len(b) && n < maxWireName; {
		switch size := int(b[n]); {
		case size == 0:
			return n + 1
		case size >= 0xC0:
			return n + 2
		case size > maxLabel:
			return 0
		default:
			n += 1 + size
		}
	}
	return 0
}
