package nameserver

import (
	"maps"

	"github.com/miekg/dns"
)

// view is all that is answered from. It does not change: each change of a zone or a
// challenge makes a new one.
type view struct {
	zones map[fqdn]*zone
}

// zone is one of the view. A name in it is, in this order: one of nodes; one that
// has the records of every; unknown.
//
// So in a zone with addresses every name exists. That is more than a wildcard
// (RFC 4592) gives, on purpose: under *.example the challenge at
// _acme-challenge.app.example would make app.example an empty non-terminal, and
// take its addresses away while its certificate is renewed.
type zone struct {
	apex  fqdn
	soa   rrset
	glue  rrset // of the servers within the zone
	every node
	nodes map[fqdn]node
}

// newView makes a view of zones with distinct names. It leaves out challenges that are
// in none of them.
func newView(plans []*plan, texts challenges, serial uint32) *view {
	v := &view{zones: make(map[fqdn]*zone, len(plans))}
	for _, p := range plans {
		v.zones[p.apex] = newZone(p, serial)
	}
	// A zone in another one makes the names between them exist: a resolver that learned
	// that one of them does not exist would look for nothing below it (RFC 8020).
	for apex := range v.zones {
		if above := v.zoneOf(string(apex), true); above != nil {
			above.node(apex)
		}
	}
	for name := range texts {
		if z := v.zoneOf(string(name), false); z != nil {
			z.node(name)[dns.TypeTXT] = textSet(name, texts.values(name))
		}
	}
	return v
}

func newZone(p *plan, serial uint32) *zone {
	soa := p.soa
	soa.Serial = serial
	set := rrset{&soa}
	z := &zone{apex: p.apex, soa: set, glue: p.glue, every: p.every, nodes: map[fqdn]node{}}
	maps.Copy(z.node(p.apex), p.atApex)
	z.node(p.apex)[dns.TypeSOA] = set
	for name, addresses := range p.servers {
		n := z.node(name)
		delete(n, dns.TypeA)
		delete(n, dns.TypeAAAA)
		maps.Copy(n, addresses)
	}
	return z
}

// node returns that of name, and makes it if need be. So it does with those above it:
// they are at least empty non-terminals.
func (z *zone) node(name fqdn) node {
	for n := name; ; n = n.parent() {
		if _, ok := z.nodes[n]; !ok {
			z.nodes[n] = node{}
			maps.Copy(z.nodes[n], z.every)
		}
		if n == z.apex {
			return z.nodes[name]
		}
	}
}

// find returns the node of a canonical name, nil if the name does not exist.
func (z *zone) find(name string) node {
	if n, ok := z.nodes[fqdn(name)]; ok {
		return n
	}
	return z.every
}

// zoneOf returns the innermost zone that a canonical name is in, nil if it is in none.
// If above is set, a zone does not count for its own name.
func (v *view) zoneOf(name string, above bool) *zone {
	for at, end := 0, false; !end; at, end = dns.NextLabel(name, at) {
		if z := v.zones[fqdn(name[at:])]; z != nil && (at > 0 || !above) {
			return z
		}
	}
	return nil
}
