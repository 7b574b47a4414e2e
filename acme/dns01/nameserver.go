package dns01

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"sallyport/internal/dnsquery"
	"sallyport/internal/oneline"

	"github.com/miekg/dns"
)

// Bounds of what a zone may make us ask. Thirteen nameservers are the most that are
// in use; a zone with more is asked at these.
const (
	maxNameservers = 13
	maxAddresses   = 4 // of one nameserver
)

// nameserver is one of the zone's. Those with several addresses may be reached by
// one kind alone from here.
type nameserver struct {
	name      string
	addresses []netip.AddrPort
	recursive bool
}

// nameservers finds the servers that answer for zone.
func (s *Solver) nameservers(ctx context.Context, zone string) ([]nameserver, error) {
	var list []nameserver
	if len(s.opts.Nameservers) > 0 {
		for _, a := range s.opts.Nameservers {
			list = append(list, nameserver{name: a.String(), addresses: []netip.AddrPort{a}, recursive: true})
		}
		return list, nil
	}
	m, err := s.resolver.Lookup(ctx, zone, dns.TypeNS)
	if err != nil {
		return nil, err
	}
	records := dnsquery.Records[*dns.NS](m, zone)
	if len(records) == 0 {
		return nil, fmt.Errorf("zone %s has no NS records", zone)
	}
	for _, r := range records[:min(len(records), maxNameservers)] {
		n := nameserver{name: dns.CanonicalName(r.Ns)}
		if n.addresses, err = s.addresses(ctx, n.name); err != nil {
			return nil, fmt.Errorf("nameserver %s of zone %s: %w", n.name, zone, err)
		}
		list = append(list, n)
	}
	return list, nil
}

func (s *Solver) addresses(ctx context.Context, host string) ([]netip.AddrPort, error) {
	var v4, v6 []netip.AddrPort
	m, err := s.resolver.Lookup(ctx, host, dns.TypeA)
	if err != nil {
		return nil, err
	}
	for _, r := range dnsquery.Records[*dns.A](m, host) {
		if a, ok := netip.AddrFromSlice(r.A.To4()); ok {
			v4 = append(v4, netip.AddrPortFrom(a, s.port))
		}
	}
	if m, err = s.resolver.Lookup(ctx, host, dns.TypeAAAA); err != nil && len(v4) == 0 {
		return nil, err
	} else if err == nil {
		for _, r := range dnsquery.Records[*dns.AAAA](m, host) {
			if a, ok := netip.AddrFromSlice(r.AAAA); ok {
				v6 = append(v6, netip.AddrPortFrom(a, s.port))
			}
		}
	}
	list := append(v4[:min(len(v4), maxAddresses/2)], v6[:min(len(v6), maxAddresses/2)]...)
	if len(list) == 0 {
		return nil, errors.New("has no address")
	}
	return list, nil
}

// lacks is nil if n has the value at name: if one of its addresses answers with it,
// and none without it. An address that is silent counts only if all are.
func (n nameserver) lacks(ctx context.Context, name, value string) error {
	var silence []error
	for _, a := range n.addresses {
		m, err := dnsquery.Exchange(ctx, a, name, dns.TypeTXT, n.recursive)
		if err != nil {
			silence = append(silence, err)
			continue
		}
		if err := n.judge(m, name, value); err != nil {
			return fmt.Errorf("nameserver %s: %w", n.name, err)
		}
	}
	if len(silence) == len(n.addresses) || len(silence) > 0 && over(ctx) { // over: there was no time to answer
		return fmt.Errorf("nameserver %s: does not answer: %w", n.name, oneline.Join(silence...))
	}
	return nil
}

// judge returns what is wrong with an answer about name.
func (n nameserver) judge(m *dns.Msg, name, value string) error {
	if err := dnsquery.Code(m); err != nil {
		return err
	}
	if !m.Authoritative && !n.recursive {
		return errors.New("answers without authority: it does not serve the zone, or something on the way answers in its place")
	}
	if n.recursive { // it follows aliases
		for range maxAliases {
			if next := dnsquery.Alias(m, name); next != "" {
				name = next
			}
		}
	}
	records := dnsquery.Records[*dns.TXT](m, name)
	for _, r := range records {
		if strings.Join(r.Txt, "") == value { // strings of one record are one text: RFC 8555 8.4
			return nil
		}
	}
	return fmt.Errorf("has %d other values at %s and not the challenge's", len(records), name)
}
