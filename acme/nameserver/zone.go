package nameserver

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// The most of each that a zone may have: its largest answer stays far below the
// 65,535 bytes of a message.
const (
	maxNameServers = 13
	maxAddresses   = 32
	maxCAA         = 32
	maxText        = 255 // bytes of a value
	maxTTL         = 24 * time.Hour
)

// plan is a Zone that has been checked and packed. It is not changed.
type plan struct {
	apex    wireName
	soa     dns.SOA           // but for its serial
	every   node              // of names that are not told below; nil if there are none
	atApex  node              // besides SOA and every
	servers map[wireName]node // addresses of the name servers within the zone
	glue    rrset             // the same, for answers that name them
}

// newPlan checks a Zone.
func newPlan(z Zone) (*plan, error) {
	apex, err := parseName(z.Name)
	if err != nil {
		return nil, err
	}
	p := &plan{apex: apex, servers: map[wireName]node{}}
	ttl, errTTL := seconds(cmp.Or(z.TTL, 5*time.Minute))
	negative, errNegative := seconds(cmp.Or(z.NegativeTTL, 30*time.Second))
	err = errors.Join(
		errTTL, errNegative, checkAddresses(z.Addresses),
		p.addEvery(z.Addresses, ttl),
		p.addServers(z, ttl),
		p.addCAA(z.CAA, ttl),
		p.addSOA(z, ttl, negative),
	)
	if err != nil {
		return nil, fmt.Errorf("zone %s: %w", z.Name, err)
	}
	return p, nil
}

func (p *plan) addEvery(addrs []netip.Addr, ttl uint32) (err error) {
	if len(addrs) > 0 {
		p.every, err = addressNode(p.apex, ttl, addrs)
	}
	return err
}

// addServers makes the NS records and, for servers within the zone, their addresses:
// who is sent to such a name can learn them only here.
func (p *plan) addServers(z Zone, ttl uint32) error {
	if len(z.NS) == 0 || len(z.NS) > maxNameServers {
		return fmt.Errorf("has %d name servers: want 1 to %d, as its parent names them", len(z.NS), maxNameServers)
	}
	var records, glue []dns.RR
	seen := map[wireName]bool{}
	for _, ns := range z.NS {
		name, err := parseName(ns.Name)
		if err != nil {
			return err
		}
		if seen[name] {
			return fmt.Errorf("name server %s is listed twice", ns.Name)
		}
		seen[name] = true
		records = append(records, &dns.NS{Hdr: header(p.apex, dns.TypeNS, ttl), Ns: name.String()})
		if !name.within(p.apex) {
			continue
		}
		addrs := ns.Addresses
		if len(addrs) == 0 {
			addrs = z.Addresses
		}
		if len(addrs) == 0 {
			return fmt.Errorf("name server %s is in the zone itself: tell its addresses", ns.Name)
		}
		if err := checkAddresses(addrs); err != nil {
			return fmt.Errorf("name server %s: %w", ns.Name, err)
		}
		a, aaaa := addressRecords(name, ttl, addrs)
		glue = append(append(glue, a...), aaaa...)
		if p.servers[name], err = addressNode(name, ttl, addrs); err != nil {
			return err
		}
	}
	set, err := pack(records...)
	p.atApex = node{dns.TypeNS: set}
	if err == nil {
		p.glue, err = packNamed(glue...)
	}
	return err
}

func (p *plan) addCAA(caa []CAA, ttl uint32) error {
	if len(caa) == 0 || p.atApex == nil {
		return nil
	}
	if len(caa) > maxCAA {
		return fmt.Errorf("has %d CAA records: want at most %d", len(caa), maxCAA)
	}
	var rrs []dns.RR
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
		rrs = append(rrs, rr)
	}
	set, err := pack(rrs...)
	p.atApex[dns.TypeCAA] = set
	return err
}

// addSOA makes the SOA. Its own TTL is the negative one, as resolvers take the
// smaller of it and the last field (RFC 2308, 5). The other times are for secondary
// servers, which do not exist.
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

// mailbox is an address as a name: the part before the @ is one label, its dots
// escaped (RFC 1035, 8).
func mailbox(s string) (string, error) {
	local, domain, ok := strings.Cut(s, "@")
	if !ok || local == "" || len(local) > maxLabel ||
		strings.Trim(strings.ToLower(local), "abcdefghijklmnopqrstuvwxyz0123456789-_+.") != "" {
		return "", fmt.Errorf("contact %q: want an address like hostmaster@example.com", s)
	}
	name, err := parseName(domain)
	if err != nil {
		return "", fmt.Errorf("contact %q: %w", s, err)
	}
	if 1+len(local)+len(name) > maxWireName {
		return "", fmt.Errorf("contact %q: is too long for a name", s)
	}
	return strings.ReplaceAll(local, ".", `\.`) + "." + name.String(), nil
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
