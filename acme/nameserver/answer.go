package nameserver

import (
	"slices"

	"github.com/miekg/dns"
)

// The most bytes of an answer. By UDP it is the size that passes everywhere without
// being cut into fragments, which can be forged.
const (
	maxTCP   = dns.MaxMsgSize
	maxUDP   = 1232
	plainUDP = dns.MinMsgSize // without EDNS, and the least with it
)

// maxCompressed is the most labels of a name that is compressed. Compression costs a map
// entry for each label, 20 µs for a name of 127. The owners of such a name's records are
// written out.
const maxCompressed = 40

// udpSize returns the most bytes of an answer to q by UDP.
func udpSize(q *dns.Msg) int {
	if opt := q.IsEdns0(); opt != nil {
		return min(max(int(opt.UDPSize()), plainUDP), maxUDP)
	}
	return plainUDP
}

// answer answers q, for which readQuery returned rcode. It neither blocks nor locks.
func (v *view) answer(q *dns.Msg, rcode int) *dns.Msg {
	m := new(dns.Msg).SetReply(q)
	m.CheckingDisabled = false // this server checks nothing
	m.Rcode = rcode
	if rcode == dns.RcodeSuccess {
		v.addRecords(m)
	}
	if opt := q.IsEdns0(); opt != nil { // RFC 6891, 6.1.3; DO is repeated (RFC 3225, 3)
		m.SetEdns0(maxUDP, opt.Do())
	}
	return m
}

// addRecords adds the records that m asks for, or the reason why there are none.
func (v *view) addRecords(m *dns.Msg) {
	q := m.Question[0]
	name := dns.CanonicalName(q.Name)
	// DS is a record of the zone above (RFC 4035, 3.1.4.1).
	z := v.zoneOf(name, q.Qtype == dns.TypeDS)
	if z == nil && q.Qtype == dns.TypeDS {
		z = v.zoneOf(name, false)
	}
	if z == nil || q.Qclass != dns.ClassINET || q.Qtype == dns.TypeAXFR || q.Qtype == dns.TypeIXFR {
		m.Rcode = dns.RcodeRefused
		return
	}
	m.Authoritative = true
	m.Compress = dns.CountLabel(name) <= maxCompressed
	n := z.find(name)
	if n == nil {
		m.Rcode = dns.RcodeNameError
	}
	set, found := n[q.Qtype]
	switch {
	case q.Qtype == dns.TypeANY && len(n) > 0:
		m.Answer = anyRecord.copies(q.Name)
	case found:
		m.Answer = set.copies(q.Name)
		if q.Qtype == dns.TypeNS {
			m.Extra = slices.Clone(z.glue)
		}
	default: // RFC 2308, 2: with the SOA either way, whose owner is the end of the question's name
		m.Ns = z.soa.copies(q.Name[len(name)-len(z.apex):])
	}
}

// anyRecord answers ANY for a name that has records, for an hour. A client that wants
// all of them is after an amplifier, or needs something that RFC 8482 took away (4.2).
var anyRecord = rrset{&dns.HINFO{Hdr: header("", dns.TypeHINFO, 3600), Cpu: "RFC8482"}}

// pack packs m in at most limit bytes, in buf if that is large enough. Without room it
// leaves glue out, which is no truncation (RFC 2181, 9), and then cuts m.
func pack(m *dns.Msg, limit int, buf []byte) ([]byte, error) {
	b, err := m.PackBuffer(buf)
	for _, shorten := range []func(*dns.Msg){leaveGlueOut, cut} {
		if err != nil || len(b) <= limit {
			break
		}
		shorten(m)
		b, err = m.PackBuffer(buf)
	}
	return b, err
}

// cut leaves of m what makes the client ask again by TCP. It is never longer than the
// query.
func cut(m *dns.Msg) {
	m.Truncated = true
	m.Answer, m.Ns = nil, nil
	leaveGlueOut(m)
}

func leaveGlueOut(m *dns.Msg) {
	m.Extra = slices.DeleteFunc(m.Extra, func(rr dns.RR) bool { return rr.Header().Rrtype != dns.TypeOPT })
}
