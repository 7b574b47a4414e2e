package nameserver

import (
	"fmt"
	"maps"

	"github.com/miekg/dns"
)

// view is all that is answered from. It is not changed: there is a new one for each
// change of a zone or a challenge.
type view struct {
	zones map[wireName]*zone
}

// zone is one of the view. A name in it is, in this order: one of nodes; one that
// has the records of every; unknown.
//
// So in a zone with addresses every name exists. That is more than a wildcard
// (RFC 4592) gives, on purpose: under *.example the challenge at
// _acme-challenge.app.example would make app.example an empty non-terminal, and
// take its addresses away while its certificate is renewed.
type zone struct {
	apex  wireName
	soa   rrset
	glue  rrset // of the servers within the zone
	every node
	nodes map[wireName]node
}

// newView makes a view of zones with distinct names. Challenges that are in none of
// them are left out.
func newView(plans []*plan, texts challenges, serial uint32) (*view, error) {
	v := &view{zones: make(map[wireName]*zone, len(plans))}
	for _, p := range plans {
		z, err := newZone(p, serial)
		if err != nil {
			return nil, err
		}
		v.zones[p.apex] = z
	}
	// A zone in another one makes the names between them exist: a resolver that was
	// told that one of them does not would look for nothing below it (RFC 8020).
	for apex := range v.zones {
		if above := v.zoneOf([]byte(apex), true); above != nil {
			above.node(apex)
		}
	}
	for name := range texts {
		z := v.zoneOf([]byte(name), false)
		if z == nil {
			continue
		}
		set, err := textSet(name, texts.values(name))
		if err != nil {
			return nil, fmt.Errorf("challenge at %s: %w", name, err)
		}
		z.node(name)[dns.TypeTXT] = set
	}
	return v, nil
}

func newZone(p *plan, serial uint32) (*zone, error) {
	soa := p.soa
	soa.Serial = serial
	set, err := pack(&soa)
	if err != nil {
		return nil, fmt.Errorf("zone %s: %w", p.apex, err)
	}
	z := &zone{apex: p.apex, soa: set, glue: p.glue, every: p.every, nodes: map[wireName]node{}}
	maps.Copy(z.node(p.apex), p.atApex)
	z.node(p.apex)[dns.TypeSOA] = set
	for name, addresses := range p.servers {
		n := z.node(name)
		delete(n, dns.TypeA)
		delete(n, dns.TypeAAAA)
		maps.Copy(n, addresses)
	}
	return z, nil
}

// node is that of name, made if it is not there. So are those above it: they are at
// least empty non-terminals.
func (z *zone) node(name wireName) node {
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

// find is the node of name, nil if there is no such name.
func (z *zone) find(name []byte) node {
	if n, ok := z.nodes[wireName(name)]; ok {
		return n
	}
	return z.every
}

// zoneOf is the zone that name is in, the innermost one; nil if it is in none. A zone
// itself is not counted if above is set.
func (v *view) zoneOf(name []byte, above bool) *zone {
	for i := 0; ; i += 1 + int(name[i]) {
		if z := v.zones[wireName(name[i:])]; z != nil && (i > 0 || !above) {
			return z
		}
		if name[i] == 0 {
			return nil
		}
	}
}
