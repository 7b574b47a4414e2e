package issue

import (
	"context"
	"fmt"
	"strings"

	"sallyport/acme/dns01"
	"sallyport/acme/nameserver"
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
func (i *Issuer) leadsHere(ctx context.Context, domain string) error {
	missing := nameserver.Delegated(ctx, i.resolver, zone(i.cfg.Embedded, domain, nil))
	if missing == nil {
		return nil // and what is served here has no aliases
	}
	name := "_acme-challenge." + domain + "."
	target, err := dns01.Follow(ctx, i.resolver, name, func(at string) bool {
		_, here := i.zones.holding(at)
		return here
	})
	if err != nil || target == name { // of an error Delegated tells more
		return missing
	}
	z, ok := i.zones.holding(target)
	if !ok {
		return fmt.Errorf("%w; or lead its alias here: %s is one of %s, which is in no zone that this gateway serves", missing, name, target)
	}
	return nameserver.Delegated(ctx, i.resolver, z)
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
