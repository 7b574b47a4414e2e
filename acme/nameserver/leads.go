package nameserver

import (
	"context"
	"fmt"
	"strings"

	"sallyport/acme/dns01"
	"sallyport/internal/dnsquery"
)

// A domain whose DNS stays elsewhere needs no zone of its own here: its challenges may be
// an alias into the zone of another domain.
//
//	_acme-challenge.b.example  CNAME  b.a.example    (a.example is delegated here)
//
// The authority follows it, and so does package dns01, whose provider the Server then is.

// Leads asks r whether the challenges of domain are answered by a server of zones, which is
// to be found out before anything is ordered. own is the zone that domain would have here.
// The error says which records to set.
func Leads(ctx context.Context, r dnsquery.Resolver, domain string, own Zone, zones []Zone) error {
	missing := Delegated(ctx, r, own)
	if missing == nil {
		return nil // and what is served here has no aliases
	}
	name := "_acme-challenge." + domain + "."
	target, err := dns01.Follow(ctx, r, name, func(at string) bool {
		_, here := holding(zones, at)
		return here
	})
	if err != nil || target == name { // of an error Delegated says more
		return missing
	}
	z, ok := holding(zones, target)
	if !ok {
		return fmt.Errorf("%w; or lead its alias here: %s is one of %s, which is in no zone that this gateway serves", missing, name, target)
	}
	return Delegated(ctx, r, z)
}

// holding returns the zone that a name with a dot at its end is in.
func holding(zones []Zone, name string) (best Zone, ok bool) {
	for _, z := range zones {
		if strings.HasSuffix("."+name, "."+z.Name+".") && len(z.Name) > len(best.Name) {
			best, ok = z, true
		}
	}
	return best, ok
}
