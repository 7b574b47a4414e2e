package rfc2136

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/libdns/libdns"
	"github.com/miekg/dns"
)

// maxString is the length of one string of a TXT record (RFC 1035, 3.3).
const maxString = 255

var errNoValue = errors.New("has no value")

// toWire converts records of a zone. Only those types are known that proving control
// and pinning a CA need.
func toWire(zone string, records []libdns.Record) ([]dns.RR, error) {
	if len(records) == 0 {
		return nil, errors.New("no records are given")
	}
	list := make([]dns.RR, 0, len(records))
	for _, record := range records {
		r := record.RR()
		h := dns.RR_Header{
			Name:  dns.CanonicalName(libdns.AbsoluteName(r.Name, zone)),
			Class: dns.ClassINET,
			Ttl:   uint32(min(max(r.TTL/time.Second, 0), 1<<31-1)),
		}
		if _, ok := dns.IsDomainName(h.Name); !ok || !dns.IsSubDomain(zone, h.Name) {
			return nil, fmt.Errorf("%.80q is not a name in zone %s", h.Name, zone)
		}
		rr, err := data(h, record)
		if err != nil {
			return nil, fmt.Errorf("%s record at %s: %w", r.Type, h.Name, err)
		}
		list = append(list, rr)
	}
	return list, nil
}

func data(h dns.RR_Header, record libdns.Record) (dns.RR, error) {
	switch r := record.(type) {
	case libdns.TXT:
		if r.Text == "" { // to libdns this means all of them
			return nil, errNoValue
		}
		h.Rrtype = dns.TypeTXT
		t := &dns.TXT{Hdr: h}
		for rest := r.Text; rest != ""; {
			n := min(len(rest), maxString)
			t.Txt = append(t.Txt, escape(rest[:n]))
			rest = rest[n:]
		}
		return t, nil
	case libdns.CAA:
		if r.Tag == "" || r.Value == "" {
			return nil, errNoValue
		}
		h.Rrtype = dns.TypeCAA
		return &dns.CAA{Hdr: h, Flag: r.Flags, Tag: r.Tag, Value: escape(r.Value)}, nil
	}
	return nil, errors.New("is of a type that is not supported")
}

// escape keeps miekg/dns from reading a zone file's escapes into s.
func escape(s string) string { return strings.ReplaceAll(s, `\`, `\\`) }
