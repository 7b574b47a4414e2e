package nameserver

import (
	"cmp"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/miekg/dns"

	"sallyport/internal/hostname"
	"sallyport/internal/oneline"
)

// The bounds of a zone. Its largest answer stays far below the 65,535 bytes of a message.
const (
	maxNameServers = 13
	maxAddresses   = 32
	maxCAA         = 32
	maxText        = 255 // bytes of a value
	maxTTL         = 24 * time.Hour
)

// plan is the records of a Zone that has been checked. It does not change.
type plan struct {
	apex    fqdn
	soa     dns.SOA       // without its serial
	every   node          // of names that have none of their own below; nil without addresses
	atApex  node          // besides SOA and every
	servers map[fqdn]node // addresses of the name servers within the zone
	glue    rrset         // the same, for answers that name them
}

// newPlan checks a Zone.
func newPlan(z Zone) (*plan, error) {
	apex, err := parseName(z.Name)
	if err != nil {
		return nil, err
	}
	p := &plan{apex: apex, servers: map[fqdn]node{}}
	ttl, errTTL := seconds(cmp.Or(z.TTL, 5*time.Minute))
	negative, errNegative := seconds(cmp.Or(z.NegativeTTL, 30*time.Second))
	if len(z.Addresses) > 0 {
		p.every = addressNode(p.apex, ttl, z.Addresses)
	}
	err = oneline.Join(
		errTTL, errNegative, checkAddresses(z.Addresses),
		p.addServers(z, ttl),
		p.addCAA(z.CAA, ttl),
		p.addSOA(z, ttl, negative),
	)
	if err != nil {
		return nil, fmt.Errorf("zone %s: %w", z.Name, err)
	}
	return p, nil
}

// addServers makes the NS records and, for servers within the zone, their addresses:
// nobody else has them.
func (p *plan) addServers(z Zone, ttl uint32) error {
	if len(z.NS) == 0 || len(z.NS) > maxNameServers {
		return fmt.Errorf("has %d name servers: want 1 to %d, as its parent names them", len(z.NS), maxNameServers)
	}
	p.atApex = node{}
	seen := map[fqdn]bool{}
	for _, ns := range z.NS {
		name, err := parseName(ns.Name)
		if err != nil {
			return err
		}
		if seen[name] {
			return fmt.Errorf("name server %s is listed twice", ns.Name)
		}
		seen[name] = true
		p.atApex[dns.TypeNS] = append(p.atApex[dns.TypeNS], &dns.NS{Hdr: header(p.apex, dns.TypeNS, ttl), Ns: string(name)})
		if !name.within(p.apex) {
			continue
		}
		addrs := ns.Addresses
		if len(addrs) == 0 {
			addrs = z.Addresses
		}
		if len(addrs) == 0 {
			return fmt.Errorf("name server %s is in the zone itself: give its addresses", ns.Name)
		}
		if err := checkAddresses(addrs); err != nil {
			return fmt.Errorf("name server %s: %w", ns.Name, err)
		}
		n := addressNode(name, ttl, addrs)
		p.servers[name] = n
		p.glue = append(append(p.glue, n[dns.TypeA]...), n[dns.TypeAAAA]...)
	}
	return nil
}

func (p *plan) addCAA(caa []CAA, ttl uint32) error {
	if len(caa) == 0 || p.atApex == nil {
		return nil
	}
	if len(caa) > maxCAA {
		return fmt.Errorf("has %d CAA records: want at most %d", len(caa), maxCAA)
	}
	for _, c := range caa {
		if c.Tag == "" || len(c.Tag) > 15 || strings.Trim(c.Tag, "abcdefghijklmnopqrstuvwxyz0123456789") != "" {
			return fmt.Errorf("CAA tag %q: want 1 to 15 letters and digits in lower case", c.Tag)
		}
		if err := checkText(c.Value); err != nil {
			return fmt.Errorf("CAA %s: %w", c.Tag, err)
		}
		rr := &dns.CAA{Hdr: header(p.apex, dns.TypeCAA, ttl), Tag: c.Tag, Value: c.Value}
		if c.Critical {
			rr.Flag = 1 << 7
		}
		p.atApex[dns.TypeCAA] = append(p.atApex[dns.TypeCAA], rr)
	}
	return nil
}

// addSOA makes the SOA. Its own TTL is the negative one, as resolvers take the
// smaller of it and the last field (RFC 2308, 5). The other times are for secondary
// servers, of which there are none.
func (p *plan) addSOA(z Zone, ttl, negative uint32) error {
	if len(z.NS) == 0 {
		return nil
	}
	mbox, err := mailbox(cmp.Or(z.Contact, "hostmaster@"+z.Name))
	p.soa = dns.SOA{
		Hdr: header(p.apex, dns.TypeSOA, min(ttl, negative)), Ns: dns.CanonicalName(z.NS[0].Name), Mbox: mbox,
		Refresh: 3600, Retry: 600, Expire: 604800, Minttl: negative,
	}
	return err
}

// mailbox returns an address as a name: the part before the @ is one label, with its dots
// escaped (RFC 1035, 8).
func mailbox(s string) (string, error) {
	local, domain, ok := strings.Cut(s, "@")
	if !ok || local == "" || len(local) > hostname.MaxLabel ||
		strings.Trim(strings.ToLower(local), "abcdefghijklmnopqrstuvwxyz0123456789-_+.") != "" {
		return "", fmt.Errorf("contact %q: want an address like hostmaster@example.com", s)
	}
	name, err := parseName(domain)
	if err != nil {
		return "", fmt.Errorf("contact %q: %w", s, err)
	}
	if len(local)+len(name) > hostname.MaxLength {
		return "", fmt.Errorf("contact %q: is too long for a name", s)
	}
	return strings.ReplaceAll(local, ".", `\.`) + "." + string(name), nil
}

func checkAddresses(addrs []netip.Addr) error {
	if len(addrs) > maxAddresses {
		return fmt.Errorf("has %d addresses: want at most %d", len(addrs), maxAddresses)
	}
	seen := map[netip.Addr]bool{}
	for _, a := range addrs {
		a = a.Unmap() // as it is answered
		if seen[a] {
			return fmt.Errorf("address %s is listed twice", a)
		}
		seen[a] = true
		if !a.IsValid() || a.Zone() != "" || a.IsUnspecified() || a.IsMulticast() {
			return fmt.Errorf("address %s: want one that clients can reach", a)
		}
	}
	return nil
}

// checkText allows what needs no escape in a TXT or CAA record.
func checkText(s string) error {
	if len(s) > maxText {
		return fmt.Errorf("value has %d bytes: want at most %d", len(s), maxText)
	}
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '\\' || c == '"' {
			return fmt.Errorf(`value %q: want printable ASCII without \ and "`, s)
		}
	}
	return nil
}

func seconds(d time.Duration) (uint32, error) {
	if d < time.Second || d > maxTTL {
		return 0, fmt.Errorf("time to live %s: want 1s to %s", d, maxTTL)
	}
	return uint32(d / time.Second), nil
}
