package nameserver

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"sallyport/internal/dnsquery"

	"github.com/miekg/dns"
)

// Whether DNS leads resolvers to this server. Without the NS record at the parent nobody
// sees its answers, and an authority would only report a missing TXT record.

// Resolver asks recursive resolvers. dnsquery.Resolver is one.
type Resolver interface {
	Lookup(ctx context.Context, name string, qtype uint16) (*dns.Msg, error)
}

// Delegated asks r whether DNS leads to the servers of z, and returns nil if it does. The
// error says what DNS leads to, and which records to set at the parent.
func Delegated(ctx context.Context, r Resolver, z Zone) error {
	name := dns.CanonicalName(z.Name)
	m, err := r.Lookup(ctx, name, dns.TypeSOA)
	if err != nil {
		return fmt.Errorf("the name server of %s cannot be reached through DNS: %w; check that its port 53 is open by UDP and TCP, and that the parent zone has: %s", name, err, z.Delegation())
	}
	soa := dnsquery.Records[*dns.SOA](m, name)
	switch {
	case len(soa) == 0:
		return fmt.Errorf("DNS does not lead to this gateway: %s is not a zone yet; set at the parent zone: %s", name, z.Delegation())
	case len(z.NS) > 0 && !strings.EqualFold(soa[0].Ns, dns.CanonicalName(z.NS[0].Name)):
		return fmt.Errorf("DNS does not lead to this gateway: %s is served by %s; set at the parent zone, in place of its NS records: %s", name, cmp.Or(soa[0].Ns, "another server"), z.Delegation())
	}
	return nil
}

// Delegation returns the records that the parent zone must have, in the form of a zone
// file, with "; " between them.
func (z Zone) Delegation() string {
	zone := dns.CanonicalName(z.Name)
	var ns, glue []string
	for _, s := range z.NS {
		name := dns.CanonicalName(s.Name)
		ns = append(ns, zone+" NS "+name)
		if !dns.IsSubDomain(zone, name) {
			continue
		}
		addrs := s.Addresses
		if len(addrs) == 0 {
			addrs = z.Addresses
		}
		for _, a := range addrs {
			a = a.Unmap()
			kind := "A"
			if a.Is6() {
				kind = "AAAA"
			}
			glue = append(glue, name+" "+kind+" "+a.String())
		}
	}
	return strings.Join(append(ns, glue...), "; ")
}
