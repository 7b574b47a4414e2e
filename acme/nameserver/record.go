package nameserver

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/miekg/dns"
)

// rrset is some records in wire form, ready to be copied into an answer. It is a
// string because it is shared by all views.
type rrset struct {
	count uint16
	wire  string
}

// node is the records of one name by type. One without records is an empty
// non-terminal: the name exists, because there is one below it.
type node map[uint16]rrset

// atQuestion is a pointer to the name of the question (RFC 1035, 4.1.4), which
// follows the header. As an owner it costs two bytes, and repeats the name in the
// very case in which it was asked for.
const atQuestion = 0xC000 | headerSize

// pack makes an rrset for the name of the question, whatever the records' owner.
func pack(rrs ...dns.RR) (rrset, error) {
	var wire []byte
	for _, rr := range rrs {
		b, err := packRecord(rr)
		if err != nil {
			return rrset{}, err
		}
		wire = binary.BigEndian.AppendUint16(wire, atQuestion)
		wire = append(wire, b[nameLength(b):]...)
	}
	return rrset{uint16(len(rrs)), string(wire)}, nil
}

// packNamed makes an rrset whose records have their own owners.
func packNamed(rrs ...dns.RR) (rrset, error) {
	var wire []byte
	for _, rr := range rrs {
		b, err := packRecord(rr)
		if err != nil {
			return rrset{}, err
		}
		wire = append(wire, b...)
	}
	return rrset{uint16(len(rrs)), string(wire)}, nil
}

func packRecord(rr dns.RR) ([]byte, error) {
	b := make([]byte, dns.Len(rr))
	n, err := dns.PackRR(rr, b, 0, nil, false)
	if err != nil {
		return nil, fmt.Errorf("pack record %s: %w", rr, err)
	}
	return b[:n], nil
}

func header(owner wireName, rrtype uint16, ttl uint32) dns.RR_Header {
	return dns.RR_Header{Name: owner.String(), Rrtype: rrtype, Class: dns.ClassINET, Ttl: ttl}
}

// addressRecords are the A and the AAAA records for addrs.
func addressRecords(owner wireName, ttl uint32, addrs []netip.Addr) (a, aaaa []dns.RR) {
	for _, addr := range addrs {
		if addr = addr.Unmap(); addr.Is4() {
			a = append(a, &dns.A{Hdr: header(owner, dns.TypeA, ttl), A: addr.AsSlice()})
		} else {
			aaaa = append(aaaa, &dns.AAAA{Hdr: header(owner, dns.TypeAAAA, ttl), AAAA: addr.AsSlice()})
		}
	}
	return a, aaaa
}

// addressNode is a node that has nothing but addresses.
func addressNode(owner wireName, ttl uint32, addrs []netip.Addr) (node, error) {
	a, aaaa := addressRecords(owner, ttl, addrs)
	n := node{}
	for rrtype, rrs := range map[uint16][]dns.RR{dns.TypeA: a, dns.TypeAAAA: aaaa} {
		if len(rrs) == 0 {
			continue
		}
		s, err := pack(rrs...)
		if err != nil {
			return nil, err
		}
		n[rrtype] = s
	}
	return n, nil
}

// textSet is a TXT set of one string a record. Its TTL is short: a value is gone
// when its challenge is over, and the next one has to be seen at once.
func textSet(owner wireName, values []string) (rrset, error) {
	rrs := make([]dns.RR, len(values))
	for i, v := range values {
		rrs[i] = &dns.TXT{Hdr: header(owner, dns.TypeTXT, challengeTTL), Txt: []string{v}}
	}
	return pack(rrs...)
}
