package dnsquery

import (
	"fmt"

	"github.com/miekg/dns"
)

// Code returns an error unless m says which records there are, or that there are none.
func Code(m *dns.Msg) error {
	switch m.Rcode {
	case dns.RcodeSuccess, dns.RcodeNameError:
		return nil
	}
	return fmt.Errorf("it answered with code %d %s", m.Rcode, dns.RcodeToString[m.Rcode])
}

// Records returns the records of type T in the answer whose owner is name itself. It leaves
// out those of an alias that the server followed.
func Records[T dns.RR](m *dns.Msg, name string) (list []T) {
	name = dns.CanonicalName(name)
	for _, rr := range m.Answer {
		h := rr.Header()
		if r, ok := rr.(T); ok && h.Class == dns.ClassINET && dns.CanonicalName(h.Name) == name {
			list = append(list, r)
		}
	}
	return list
}

// Alias returns the canonical form of the name that name is an alias of, by the answer, or
// "" if it is not an alias. A resolver makes a CNAME of a DNAME above name (RFC 6672, 3.1).
func Alias(m *dns.Msg, name string) string {
	for _, c := range Records[*dns.CNAME](m, name) {
		return dns.CanonicalName(c.Target)
	}
	return ""
}
