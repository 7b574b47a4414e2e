package issue

import (
	"context"
	"errors"
	"slices"
	"sync"

	"sallyport/acme"
	"sallyport/acme/caa"
	"sallyport/acme/nameserver"
	"sallyport/config"
	"sallyport/internal/dnsquery"
)

// The zones of [acme] dns = "embedded": one for each domain with acme = true. Where a whole
// domain is delegated to the gateway, it publishes CAA records as well: once it has an
// account, that account alone gets certificates, by DNS-01 alone (caa.Pins). The records
// never refuse the gateway itself: while an authority has published no name for CAA records,
// there are none.

// zones returns the zones of the domains. caa are the records of each whole domain.
func zones(c config.Embedded, domains []config.Domain, caa []nameserver.CAA) []nameserver.Zone {
	var list []nameserver.Zone
	for _, d := range domains {
		if d.ACME {
			list = append(list, zone(c, d.Name, caa))
		}
	}
	return list
}

func zone(c config.Embedded, domain string, caa []nameserver.CAA) nameserver.Zone {
	z := nameserver.Zone{Name: domain, Addresses: c.Addresses, CAA: caa}
	if c.Zone == config.ZoneChallenge {
		z = nameserver.Zone{Name: "_acme-challenge." + domain}
	}
	for _, ns := range c.Nameservers {
		z.NS = append(z.NS, nameserver.NameServer{Name: ns.Name, Addresses: ns.Addresses})
	}
	if len(z.NS) == 0 {
		z.NS = []nameserver.NameServer{{Name: "ns." + domain}}
	}
	return z
}

// zoneKeeper gives the name server its zones whenever domains or accounts change.
type zoneKeeper struct {
	embedded config.Embedded
	server   *nameserver.Server
	accounts func(context.Context) ([]acme.Account, error)

	mu         sync.Mutex // guards what follows, and who calls SetZones
	domains    []config.Domain
	caa        []nameserver.CAA
	pins       *caa.Pins
	rehearsing caa.Account // the gateway's own at a staging directory, permitted beside the others
}

// rehearse permits the account of a rehearsal, which goes by its authority's name but
// is not the one that is pinned.
func (k *zoneKeeper) rehearse(a caa.Account) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(caa.Identities(a.Directory, a.Identities)) > 0 {
		k.rehearsing = a
	}
}

// setDomains changes the domains. An error changes nothing.
func (k *zoneKeeper) setDomains(domains []config.Domain) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.server.SetZones(zones(k.embedded, domains, k.caa)); err != nil {
		return err
	}
	k.domains = domains
	return nil
}

// pin brings the CAA records up to date with the accounts.
func (k *zoneKeeper) pin(ctx context.Context) error {
	if k.embedded.Zone != config.ZoneDomain {
		return nil
	}
	accounts, err := k.accounts(ctx)
	if err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	records, err := k.recordsLocked(accounts)
	if err != nil || slices.Equal(records, k.caa) {
		return err
	}
	if err := k.server.SetZones(zones(k.embedded, k.domains, records)); err != nil {
		return err
	}
	k.caa = records
	return nil
}

// recordsLocked returns the records that permit the accounts, none if they would say too
// little or too much.
func (k *zoneKeeper) recordsLocked(accounts []acme.Account) (records []nameserver.CAA, err error) {
	list := make([]caa.Account, 0, len(accounts)+1)
	for _, a := range accounts {
		list = append(list, caa.Account(a))
	}
	if k.rehearsing.URI != "" {
		list = append(list, k.rehearsing)
	}
	pins, err := k.pins.Records("any.invalid", list) // each zone has its own name
	if errors.Is(err, caa.ErrUnidentified) {
		return nil, nil
	}
	for _, r := range pins {
		records = append(records, nameserver.CAA{Tag: r.Tag, Value: r.Value})
	}
	return records, err
}

// lead asks r whether the challenges of domain are answered here.
func (k *zoneKeeper) lead(ctx context.Context, r dnsquery.Resolver, domain string) error {
	k.mu.Lock()
	all := zones(k.embedded, k.domains, nil)
	k.mu.Unlock()
	return nameserver.Leads(ctx, r, domain, zone(k.embedded, domain, nil), all)
}
