package nameserver

import (
	"net/netip"

	"github.com/miekg/dns"
)

// rrset is the records of one name and one type. All views share it: an answer has
// copies.
type rrset []dns.RR

// node is the records of one name by type. One without records is an empty
// non-terminal: the name exists, because a name below it exists.
type node map[uint16]rrset

// copies returns the records of s with owner as their name. The owner in an answer is
// the name of the question in the very case in which it was asked for.
func (s rrset) copies(owner string) []dns.RR {
	list := make([]dns.RR, len(s))
	for i, rr := range s {
		list[i] = dns.Copy(rr)
		list[i].Header().Name = owner
	}
	return list
}

func header(owner fqdn, rrtype uint16, ttl uint32) dns.RR_Header {
	return dns.RR_Header{Name: string(owner), Rrtype: rrtype, Class: dns.ClassINET, Ttl: ttl}
}

// addressNode returns a node that has only addresses: A and AAAA records.
func addressNode(owner fqdn, ttl uint32, addrs []netip.Addr) node {
	n := node{}
	for _, addr := range addrs {
		if addr = addr.Unmap(); addr.Is4() {
			n[dns.TypeA] = append(n[dns.TypeA], &dns.A{Hdr: header(owner, dns.TypeA, ttl), A: addr.AsSlice()})
		} else {
			n[dns.TypeAAAA] = append(n[dns.TypeAAAA], &dns.AAAA{Hdr: header(owner, dns.TypeAAAA, ttl), AAAA: addr.AsSlice()})
		}
	}
	return n
}

// textSet returns a TXT set of one string a record.
func textSet(owner fqdn, values []string) rrset {
	s := make(rrset, len(values))
	for i, v := range values {
		s[i] = &dns.TXT{Hdr: header(owner, dns.TypeTXT, challengeTTL), Txt: []string{v}}
	}
	return s
}
