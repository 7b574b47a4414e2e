package nameserver

import (
	"encoding/binary"

	"github.com/miekg/dns"
)

// The most bytes of an answer. By UDP it is what passes everywhere without being
// cut into fragments, which can be forged.
const (
	maxTCP   = 65535
	maxUDP   = 1232
	plainUDP = 512 // without EDNS, and the least with it
)

// Sections of a message, at their place among its counts.
const (
	sectionAnswer = 1 + iota
	sectionAuthority
	sectionAdditional
)

// udpSize is what an answer to q may have by UDP.
func (q *query) udpSize() int { return min(max(int(q.size), plainUDP), maxUDP) }

// answer answers q, about which read said rcode, in at most limit bytes. It writes
// to dst from its start, and neither blocks, locks nor allocates if there is room.
func (v *view) answer(dst []byte, q *query, rcode, limit int) (b []byte, _ int) {
	b = q.begin(dst)
	if rcode == dns.RcodeSuccess {
		b, rcode = v.records(b, q, limit)
	}
	b[3] |= byte(rcode & 0xF)
	if q.edns {
		b = q.appendOPT(b, rcode)
	}
	if len(b) > limit {
		b = q.truncate(b)
	}
	return b, rcode
}

// records finds what is asked for and appends it.
func (v *view) records(b []byte, q *query, limit int) (_ []byte, rcode int) {
	name := q.name[:q.nameSize]
	// DS is a record of the zone above (RFC 4035, 3.1.4.1).
	z := v.zoneOf(name, q.qtype == dns.TypeDS)
	if z == nil && q.qtype == dns.TypeDS {
		z = v.zoneOf(name, false)
	}
	if z == nil || q.qclass != dns.ClassINET || q.qtype == dns.TypeAXFR || q.qtype == dns.TypeIXFR {
		return b, dns.RcodeRefused
	}
	setFlag(b, flagAuthority)
	n := z.find(name)
	set, found := n[q.qtype]
	if q.qtype == dns.TypeANY && len(n) > 0 {
		set, found = rrset{1, anyRecord}, true
	}
	switch {
	case found:
		b = appendSet(b, sectionAnswer, set)
		if q.qtype == dns.TypeNS && len(b)+len(z.glue.wire)+optSize <= limit {
			b = appendSet(b, sectionAdditional, z.glue)
		}
	default: // RFC 2308, 2: with the SOA either way
		at := len(b)
		b = appendSet(b, sectionAuthority, z.soa)
		// Its owner is the end of the question's name.
		binary.BigEndian.PutUint16(b[at:], uint16(atQuestion+len(name)-len(z.apex)))
	}
	if n == nil {
		return b, dns.RcodeNameError
	}
	return b, dns.RcodeSuccess
}

// anyRecord answers ANY for a name that has something: who wants all of it is after
// an amplifier, or has a use for it that RFC 8482 took away (4.2). It is
// "HINFO RFC8482 \"\"", for an hour.
const anyRecord = "\xc0\x0c\x00\x0d\x00\x01\x00\x00\x0e\x10\x00\x09\x07RFC8482\x00"

// begin writes a header that says "no such luck" and the question.
func (q *query) begin(dst []byte) []byte {
	b := append(dst[:0], make([]byte, headerSize)...)
	binary.BigEndian.PutUint16(b, q.id)
	setFlag(b, flagResponse|q.flags&(opcodeMask|flagRecursion))
	if len(q.question) > 0 {
		b[5] = 1
		b = append(b, q.question...)
	}
	return b
}

// truncate leaves of an answer what tells q's sender to come by TCP. That is never
// longer than q.
func (q *query) truncate(b []byte) []byte {
	b = b[:headerSize+len(q.question)]
	clear(b[6:headerSize])
	setFlag(b, flagTruncated)
	if q.edns {
		b = q.appendOPT(b, dns.RcodeSuccess)
	}
	return b
}

// appendOPT appends our side of EDNS (RFC 6891, 6.1.3).
func (q *query) appendOPT(b []byte, rcode int) []byte {
	b = append(b, 0, 0, byte(dns.TypeOPT), maxUDP>>8, maxUDP&0xFF, byte(rcode>>4), 0, 0, 0, 0, 0)
	if q.dnssec {
		b[len(b)-4] = 0x80
	}
	count(b, sectionAdditional, 1)
	return b
}

func appendSet(b []byte, section int, s rrset) []byte {
	count(b, section, s.count)
	return append(b, s.wire...)
}

func count(b []byte, section int, n uint16) {
	at := b[4+2*section:]
	binary.BigEndian.PutUint16(at, binary.BigEndian.Uint16(at)+n)
}

func setFlag(b []byte, flags uint16) {
	binary.BigEndian.PutUint16(b[2:], binary.BigEndian.Uint16(b[2:])|flags)
}
