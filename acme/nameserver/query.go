package nameserver

import (
	"encoding/binary"

	"github.com/miekg/dns"

	"sallyport/internal/hostname"
)

const (
	headerSize = 12

	// maxQuery bounds a query, in bytes. The longest question has 271; the rest is
	// for padding, cookies and whatever else clients put into options.
	maxQuery = 4096
	// maxRecords bounds the records that a query may carry besides its question. A
	// query has an OPT, perhaps a signature.
	maxRecords = 4
)

// readQuery reads what is answered of a message: its header, its question, and the OPT
// record without options. Question and OPT are missing where they cannot be read. It
// reports false if the message deserves no answer: it is too short, or an answer
// itself, and a server that answers those can be made to talk to another server
// forever. Otherwise rcode is the response code that follows from the message alone,
// else success. The message may be anything.
//
// It is not dns.Msg.Unpack, which reads the data of every record: a query of 4 KiB
// with one HIP record, a list of names, costs that 4 ms and 2 MB, and most clients of
// this server can forge their address.
func readQuery(b []byte) (q *dns.Msg, rcode int, ok bool) {
	q = new(dns.Msg)
	if len(b) < headerSize || q.Unpack(b[:headerSize]) != nil || q.Response {
		return nil, 0, false
	}
	if q.Opcode != dns.OpcodeQuery {
		return q, dns.RcodeNotImplemented, true // the rest has another meaning
	}
	questions := binary.BigEndian.Uint16(b[4:])
	above := int(binary.BigEndian.Uint16(b[6:])) + int(binary.BigEndian.Uint16(b[8:]))
	records := above + int(binary.BigEndian.Uint16(b[10:]))
	// More than one question means nothing (RFC 9619).
	if questions != 1 || records > maxRecords {
		return q, dns.RcodeFormatError, true
	}
	rest, ok := readQuestion(q, b)
	for i := 0; ok && i < records; i++ {
		rest, ok = readRecord(q, b, rest, i >= above)
	}
	if !ok || rest != len(b) {
		return q, dns.RcodeFormatError, true
	}
	if opt := q.IsEdns0(); opt != nil && opt.Version() > 0 {
		return q, dns.RcodeBadVers, true
	}
	return q, dns.RcodeSuccess, true
}

// readQuestion reads the question behind the header of b into q. It refuses a
// compressed name, which only could point into the header, and whose answer would be
// longer than the query.
func readQuestion(q *dns.Msg, b []byte) (rest int, ok bool) {
	name, end, err := dns.UnpackDomainName(b, headerSize)
	if err != nil || len(b) < end+4 {
		return 0, false
	}
	for at := headerSize; at < end; at += 1 + int(b[at]) {
		if b[at] > hostname.MaxLabel {
			return 0, false
		}
	}
	q.Question = []dns.Question{{
		Name:   name,
		Qtype:  binary.BigEndian.Uint16(b[end:]),
		Qclass: binary.BigEndian.Uint16(b[end+2:]),
	}}
	return end + 4, true
}

// readRecord steps over the record at b[at:], and keeps it in q if it is the OPT.
func readRecord(q *dns.Msg, b []byte, at int, additional bool) (rest int, ok bool) {
	name, at, err := dns.UnpackDomainName(b, at)
	if err != nil || len(b) < at+10 {
		return 0, false
	}
	h := dns.RR_Header{
		Name:   name,
		Rrtype: binary.BigEndian.Uint16(b[at:]),
		Class:  binary.BigEndian.Uint16(b[at+2:]),
		Ttl:    binary.BigEndian.Uint32(b[at+4:]),
	}
	end := at + 10 + int(binary.BigEndian.Uint16(b[at+8:]))
	if len(b) < end {
		return 0, false
	}
	if h.Rrtype == dns.TypeOPT {
		// One, of the root, among the additional records (RFC 6891, 6.1.1).
		if len(q.Extra) > 0 || name != "." || !additional {
			return 0, false
		}
		q.Extra = []dns.RR{&dns.OPT{Hdr: h}}
	}
	return end, true
}
