package dns01

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"

	"sallyport/internal/dnsquery"

	"github.com/miekg/dns"
)

// Where a challenge's record belongs:
//
//	_acme-challenge.gw.example.com  CNAME  gw.challenges.example.net
//	SOA of gw.challenges.example.net?  none
//	SOA of challenges.example.net?     yes: the zone
//
// The authority follows the same aliases when it looks for the record.

// maxAliases bounds the CNAMEs that are followed, as resolvers do.
const maxAliases = 8

// locate finds the place of the record that the authority looks for at name.
func (s *Solver) locate(ctx context.Context, name string) (place, error) {
	if _, ok := dns.IsDomainName(name); !ok {
		return place{}, fmt.Errorf("challenge name %.80q is not a domain name", name)
	}
	target, err := Follow(ctx, s.resolver, name, nil)
	if err != nil {
		return place{}, err
	}
	zone, err := FindZone(ctx, s.resolver, target)
	if err != nil {
		return place{}, err
	}
	return place{name: target, zone: zone}, nil
}

// Follow goes from alias to alias, up to the name that has none, or to the first for
// which end is true; nil asks on to the last. A wildcard's alias is none.
func Follow(ctx context.Context, r dnsquery.Resolver, name string, end func(string) bool) (string, error) {
	chain := []string{name}
	for {
		next, err := alias(ctx, r, name)
		if err != nil {
			return "", err
		}
		if next != "" && len(chain) == 1 {
			wild, err := isWildcard(ctx, r, name, next)
			if err != nil {
				return "", err
			}
			if wild {
				return name, nil
			}
		}
		switch {
		case next == "":
			return name, nil
		case slices.Contains(chain, next):
			return "", fmt.Errorf("aliases run in a loop: %s: correct one of these CNAME records", strings.Join(append(chain, next), " → "))
		case len(chain) > maxAliases:
			return "", fmt.Errorf("more than %d aliases: %s: point the first one at the last name", maxAliases, strings.Join(chain, " → "))
		}
		if end != nil && end(next) {
			return next, nil
		}
		chain = append(chain, next)
		name = next
	}
}

func alias(ctx context.Context, r dnsquery.Resolver, name string) (string, error) {
	m, err := r.Lookup(ctx, name, dns.TypeCNAME)
	if err != nil {
		return "", err
	}
	return dnsquery.Alias(m, name), nil
}

// isWildcard reports whether the alias of name comes from a wildcard beside it. A
// gateway's domain often has one, "*.gw.example.com CNAME node.example.com": it is
// no delegation of challenges, and ends to be seen once name has a record of its
// own. A name that was never made shows it: a wildcard gives it the same alias.
func isWildcard(ctx context.Context, r dnsquery.Resolver, name, target string) (bool, error) {
	_, parent, _ := strings.Cut(name, ".")
	other, err := alias(ctx, r, "_"+strings.ToLower(rand.Text())+"."+parent)
	return other == target, err
}

var errNoZone = errors.New("no zone is found: check that the domain is registered and delegated")

// FindZone finds the zone that holds name, by asking for SOA records upwards. Where
// that is not known, it does not go on: the zone above would be the wrong one.
func FindZone(ctx context.Context, r dnsquery.Resolver, name string) (string, error) {
	name = dns.CanonicalName(name)
	for at := name; at != "" && at != "."; _, at, _ = strings.Cut(at, ".") {
		m, err := r.Lookup(ctx, at, dns.TypeSOA)
		if err != nil {
			return "", fmt.Errorf("find the zone of %s: %w", name, err)
		}
		if len(dnsquery.Records[*dns.SOA](m, at)) > 0 {
			return at, nil
		}
	}
	return "", fmt.Errorf("find the zone of %s: %w", name, errNoZone)
}
