package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"

	"sallyport/acme/dns01"
	"sallyport/acme/nameserver"
	"sallyport/internal/dnsquery"
)

// With [acme] dns = "embedded" a domain whose DNS stays elsewhere needs no zone of its
// own here: its challenges may be an alias into the zone of another domain.
//
//	_acme-challenge.b.example  CNAME  b.a.example    (a.example is delegated here)
//
// The authority follows it, and so does package dns01, whose provider the name server
// then is. That the way leads here is asked before anything is ordered.

// immediate solves by what the name server in this process answers. Everybody sees it
// from Present on, so there is nothing to wait for; and its public address, where
// dns01 would look, is often not reached from behind the same NAT.
type immediate struct{ *dns01.Solver }

// Wait is there so that dns01's is not: with it this would be an acmez.Waiter.
func (immediate) Wait() {}

// leadsHere asks DNS whether the challenges of domain are answered here. The error
// says which records to set.
func (i *issuer) leadsHere(ctx context.Context, domain string) error {
	missing := nameserver.Delegated(ctx, i.resolver, zone(i.cfg.Embedded, domain, nil))
	if missing == nil {
		return nil // and what is served here has no aliases
	}
	name := "_acme-challenge." + domain + "."
	target, err := i.follow(ctx, name)
	if err != nil || target == name { // of an error Delegated tells more
		return missing
	}
	z, ok := i.zones.holding(target)
	if !ok {
		return fmt.Errorf("%w; or lead its alias here: %s is one of %s, which is in no zone that this gateway serves", missing, name, target)
	}
	return nameserver.Delegated(ctx, i.resolver, z)
}

// maxAliases bounds the CNAMEs that are followed, as resolvers do.
const maxAliases = 8

// follow goes from alias to alias, up to a name that is answered here or has none. A
// wildcard's alias is none, as in dns01.
func (i *issuer) follow(ctx context.Context, name string) (string, error) {
	target, err := i.alias(ctx, name)
	if err != nil || target == "" {
		return name, err
	}
	_, parent, _ := strings.Cut(name, ".")
	if other, err := i.alias(ctx, "_"+strings.ToLower(rand.Text())+"."+parent); err != nil || other == target {
		return name, err
	}
	for range maxAliases {
		if _, ok := i.zones.holding(target); ok {
			break
		}
		next, err := i.alias(ctx, target)
		if err != nil {
			return "", err
		}
		if next == "" {
			break
		}
		target = next
	}
	return target, nil
}

const typeCNAME = 5 // RFC 1035, 3.2.2

// alias is the name that name stands for, or "".
func (i *issuer) alias(ctx context.Context, name string) (string, error) {
	m, err := i.resolver.Lookup(ctx, name, typeCNAME)
	if err != nil {
		return "", err
	}
	return dnsquery.Alias(m, name), nil
}

// holding is the zone that a name with a dot at its end is in.
func (k *zoneKeeper) holding(name string) (best nameserver.Zone, ok bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, z := range zones(k.embedded, k.domains, nil) {
		if strings.HasSuffix("."+name, "."+z.Name+".") && len(z.Name) > len(best.Name) {
			best, ok = z, true
		}
	}
	return best, ok
}
