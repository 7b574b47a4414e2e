package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/prometheus/client_golang/prometheus"

	"sallyport/acme"
	"sallyport/acme/caa"
	"sallyport/config"
)

// Domains with acme = true: package acme gets their certificates, what is here joins
// it to the store, to the index that serves them, and to what proves control of the
// domains: a name server in this process (acme_zones.go), somebody else's DNS, or the
// port for clients (acme_challenge.go).
//
// Before each order DNS is asked whether it can succeed: failed orders count at the
// authority, and its reasons say less.

// issuer keeps the certificates of the domains with acme = true.
type issuer struct {
	provers
	cfg     config.ACME
	log     *slog.Logger
	manager *acme.Manager
	zones   *zoneKeeper      // nil: no name server in this process
	control *control         // nil until open; a command may ask there
	addrs   []netip.AddrPort // of the name server
}

// The methods of proof, as CAA records and orders name them.
const (
	methodDNS = "dns-01"
	methodTLS = "tls-alpn-01"
)

// pinInterval is how often the accounts are looked at, which change by orders; those
// look themselves.
const pinInterval = 10 * time.Minute

// hasACME tells whether one of the domains is an authority's.
func hasACME(domains []config.Domain) bool {
	return slices.ContainsFunc(domains, func(d config.Domain) bool { return d.ACME })
}

// attestFunc returns evidence of a key: see acme.Options.
type attestFunc = func(context.Context, acme.Subject) (acme.Evidence, error)

// newIssuer makes the parts; it is nil where no domain needs them. served is told of
// each certificate; attest may be nil. Nothing is opened and nobody is asked.
func newIssuer(cfg *config.Config, store acme.Store, served func(domain string, apex bool, cert *tls.Certificate) error, attest attestFunc, log *slog.Logger) (*issuer, error) {
	if !hasACME(cfg.Domains) {
		return nil, nil
	}
	i := &issuer{cfg: cfg.ACME, log: log}
	opts, err := i.options(cfg)
	if err != nil {
		return nil, err
	}
	opts.Store, opts.Attest = store, attest
	opts.OnCertificate = func(domain string, names []string, cert *tls.Certificate) {
		if err := served(domain, !slices.Contains(names, "*."+domain), cert); err != nil {
			log.Error("a certificate from the authority cannot be served", "domain", domain, "error", err)
		}
	}
	return i, i.assemble(cfg, opts)
}

// options are the manager's, but for the store and whoever is told.
func (i *issuer) options(cfg *config.Config) (o acme.Options, err error) {
	if i.provers, err = newProvers(cfg, i.log); err != nil {
		return o, err
	}
	o = acme.Options{
		Domains: issuedDomains(cfg.Domains), Email: cfg.ACME.Email, RenewBefore: cfg.ACME.RenewBefore,
		Preflight: i.preflight, Log: i.log,
	}
	if o.CA, o.Fallback, err = authorities(cfg.ACME); err != nil {
		return o, err
	}
	return o, i.solve(&o, cfg.ACME)
}

func (i *issuer) assemble(cfg *config.Config, o acme.Options) (err error) {
	if i.manager, err = acme.New(o); err != nil {
		return fmt.Errorf("[acme] %w", err)
	}
	if i.server != nil {
		i.zones = &zoneKeeper{
			embedded: cfg.ACME.Embedded, server: i.server, accounts: i.manager.Accounts,
			domains: cfg.Domains, identities: map[string]string{},
		}
	}
	return nil
}

// issuedDomains are the domains as package acme wants them.
func issuedDomains(domains []config.Domain) []acme.Domain {
	var list []acme.Domain
	for _, d := range domains {
		if d.ACME {
			list = append(list, acme.Domain{Name: d.Name, IncludeApex: d.IncludeApex && d.Wildcard, ApexOnly: !d.Wildcard})
		}
	}
	return list
}

// listen opens the name server, if there is one here.
func (i *issuer) listen(ctx context.Context) error {
	if i.server == nil {
		return nil
	}
	addrs, err := i.server.Listen(ctx)
	if err != nil {
		return fmt.Errorf("[acme.embedded] %w", err)
	}
	i.addrs = addrs
	for _, a := range addrs {
		i.log.Info("answering DNS", "address", a.String())
	}
	return nil
}

// load has the stored certificates served.
func (i *issuer) load(ctx context.Context) error {
	missing, err := i.manager.Load(ctx)
	for _, domain := range missing {
		i.log.Info("no certificate yet: it is ordered as soon as the gateway runs", "domain", domain)
	}
	return err
}

// run keeps the certificates, and answers, until ctx is done.
func (i *issuer) run(ctx context.Context) error {
	parts, ctx := errgroup.WithContext(ctx)
	parts.Go(func() error { return i.manager.Run(ctx) })
	if i.server != nil {
		parts.Go(func() error { return i.server.Serve(ctx) })
		if i.cfg.CAA {
			parts.Go(func() error { return i.keepPins(ctx) })
		}
	}
	if i.control != nil {
		parts.Go(func() error {
			i.control.serve(ctx)
			return nil
		})
	}
	return parts.Wait()
}

// close gives back what was opened and never run.
func (i *issuer) close() error {
	if i.control != nil {
		_ = i.control.listener.Close()
	}
	if i.server == nil {
		return nil
	}
	over, cancel := context.WithCancel(context.Background())
	cancel()
	return i.server.Serve(over)
}

// keepPins publishes CAA records as the accounts are known.
func (i *issuer) keepPins(ctx context.Context) error {
	tick := time.NewTicker(pinInterval)
	defer tick.Stop()
	for {
		if err := i.zones.pin(ctx); err != nil && ctx.Err() == nil {
			i.log.Warn("CAA records were not brought up to date", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// setDomains changes the domains. An error changes nothing.
func (i *issuer) setDomains(domains []config.Domain) error {
	if i.zones != nil {
		if err := i.zones.setDomains(domains); err != nil {
			return err
		}
	}
	return i.manager.Reload(issuedDomains(domains))
}

// preflight asks DNS whether an order can succeed.
func (i *issuer) preflight(ctx context.Context, o acme.Order) error {
	wild := len(o.Name) > 2 && o.Name[:2] == "*."
	domain := o.Name
	if wild {
		domain = o.Name[2:]
	}
	if i.zones != nil {
		if i.cfg.CAA {
			if o.Directory != text(i.cfg.Directory) && o.Directory != text(i.cfg.Fallback.Directory) {
				i.zones.rehearse(acme.Account{Directory: o.Directory, URI: o.Account, Identities: o.Identities})
			}
			if err := i.zones.pin(ctx); err != nil {
				return err
			}
		}
		if err := i.leadsHere(ctx, domain); err != nil {
			return fmt.Errorf("%w (asked of %v, [acme] resolvers)", err, i.resolver.Servers)
		}
	}
	if !i.cfg.CAA {
		return nil
	}
	err := caa.Check(ctx, i.resolver, caa.Request{
		Name: domain, Wildcard: wild, Identities: caa.Identities(o.Directory, o.Identities), AccountURI: o.Account, Method: o.Challenge,
	})
	if errors.Is(err, caa.ErrUnidentified) { // a private authority: it may look at none
		i.log.Warn("there are CAA records, and nobody can say whether they permit the order", "name", o.Name, "error", err)
		return nil
	}
	return err
}

// collectors are the metrics.
func (i *issuer) collectors() []prometheus.Collector {
	list := i.manager.Collectors()
	if i.server != nil {
		list = append(list, i.server.Collectors()...)
	}
	return list
}
