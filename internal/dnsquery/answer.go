package dnsquery

import (
	"fmt"

	"github.com/miekg/dns"
)

// Code is an error if m says neither what there is nor that there is nothing.
func Code(m *dns.Msg) error {
	switch m.Rcode {
	case dns.RcodeSuccess, dns.RcodeNameError:
		return nil
	}
	return fmt.Errorf("it answered with code %d %s", m.Rcode, dns.RcodeToString[m.Rcode])
}

// Records are those of the answer that name itself owns, of type T: an alias that
// the server has followed is not name.
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

// Alias is the name that name stands for by the answer, in its canonical form, or ""
// if it stands for itself. A resolver makes a CNAME of a DNAME above name (RFC 6672,
// 3.1).
func Alias(m *dns.Msg, name string) string {
	for _, c := range Records[*dns.CNAME](m, name) {
		return dns.CanonicalName(c.Target)
	}
	return ""
}
