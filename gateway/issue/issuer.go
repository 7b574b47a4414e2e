package issue

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/prometheus/client_golang/prometheus"

	"sallyport/acme"
	"sallyport/acme/caa"
	"sallyport/config"
	"sallyport/registry/store"
)

// Issuer keeps the certificates of the domains with acme = true.
type Issuer struct {
	provers
	cfg     config.ACME
	log     *slog.Logger
	manager *acme.Manager
	zones   *zoneKeeper      // nil: no name server in this process
	control *control         // nil until Open; a command may ask there
	addrs   []netip.AddrPort // of the name server
}

// The methods of proof, as CAA records and orders name them.
const (
	methodDNS = "dns-01"
	methodTLS = "tls-alpn-01"
)

// Options configure an Issuer.
type Options struct {
	Config *config.Config
	// Store is the gateway's; an Issuer that is only checked needs none.
	Store store.Store
	// Served makes a certificate the one that is served for the domain itself (apex), or for
	// the names below it. nil: nothing is served.
	Served func(domain string, apex bool, cert *tls.Certificate) error
	// MaxDNSConnections bounds the TCP connections of the name server in this process;
	// 0 is its default.
	MaxDNSConnections int
	Log               *slog.Logger
}

// HasACME reports whether one of the domains has certificates of an authority.
func HasACME(domains []config.Domain) bool {
	return slices.ContainsFunc(domains, func(d config.Domain) bool { return d.ACME })
}

// Check returns the problem of the configuration that would stop Open, or nil. It reads
// files, opens nothing and asks no server.
func Check(cfg *config.Config) error {
	_, err := newIssuer(Options{Config: cfg, Log: slog.New(slog.DiscardHandler)}, nil)
	return err
}

// Open makes an Issuer, opens its name server and its socket, and serves the stored
// certificates. It returns nil where no domain has certificates of an authority. It orders
// nothing: Run does. After an error nothing stays open.
func Open(ctx context.Context, o Options) (*Issuer, error) {
	if !HasACME(o.Config.Domains) {
		return nil, nil
	}
	attest, err := newAttest(ctx, o.Config, o.Log)
	if err != nil {
		return nil, err
	}
	i, err := newIssuer(o, attest)
	if err != nil {
		return nil, err
	}
	if err := i.listen(ctx); err != nil {
		return nil, err
	}
	i.control = openControl(ctx, o.Config.Store.Path, i, o.Log)
	if err := i.load(ctx); err != nil {
		i.Close()
		return nil, err
	}
	return i, nil
}

// attestFunc returns evidence of a key: see acme.Options.
type attestFunc = func(context.Context, acme.Subject) (acme.Evidence, error)

// newIssuer makes the parts, or returns nil where no domain needs them. attest may be nil.
// It opens nothing and asks no server.
func newIssuer(o Options, attest attestFunc) (*Issuer, error) {
	if !HasACME(o.Config.Domains) {
		return nil, nil
	}
	i := &Issuer{cfg: o.Config.ACME, log: o.Log}
	opts, err := i.options(o)
	if err != nil {
		return nil, err
	}
	opts.Store, opts.Attest = Store{o.Store}, attest
	opts.OnCertificate = func(domain string, names []string, cert *tls.Certificate) {
		if o.Served == nil {
			return
		}
		if err := o.Served(domain, !slices.Contains(names, "*."+domain), cert); err != nil {
			o.Log.Error("cannot serve a certificate from the authority", "domain", domain, "error", err)
		}
	}
	return i, i.assemble(o.Config, opts)
}

// options returns the manager's options, except for the store and the functions that it
// calls.
func (i *Issuer) options(from Options) (o acme.Options, err error) {
	cfg := from.Config
	if i.provers, err = newProvers(cfg, from.MaxDNSConnections, i.log); err != nil {
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

func (i *Issuer) assemble(cfg *config.Config, o acme.Options) (err error) {
	if i.manager, err = acme.New(o); err != nil {
		return fmt.Errorf("[acme] %w", err)
	}
	if i.server != nil {
		i.zones = &zoneKeeper{
			embedded: cfg.ACME.Embedded, server: i.server, accounts: i.manager.Accounts,
			domains: cfg.Domains, pins: caa.NewPins(methodDNS),
		}
	}
	return nil
}

// issuedDomains returns the domains in the form of package acme.
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
func (i *Issuer) listen(ctx context.Context) error {
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

// load serves the stored certificates.
func (i *Issuer) load(ctx context.Context) error {
	missing, err := i.manager.Load(ctx)
	for _, domain := range missing {
		i.log.Info("no certificate yet; the gateway orders it as soon as it runs", "domain", domain)
	}
	return err
}

// Run orders and renews certificates, and answers queries, until ctx is done.
func (i *Issuer) Run(ctx context.Context) error {
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

// Close closes what Open opened, for an Issuer that was never run. Run closes it itself.
func (i *Issuer) Close() {
	if i.control != nil {
		_ = i.control.listener.Close()
	}
	if i.server != nil {
		over, cancel := context.WithCancel(context.Background())
		cancel()
		_ = i.server.Serve(over) // it closes what Listen opened
	}
}

// SetDomains changes the domains. An error changes nothing.
func (i *Issuer) SetDomains(domains []config.Domain) error {
	if i.zones != nil {
		if err := i.zones.setDomains(domains); err != nil {
			return err
		}
	}
	return i.manager.Reload(issuedDomains(domains))
}

// Status returns the state of each name's certificate.
func (i *Issuer) Status() []acme.Status { return i.manager.Status() }

// Addresses returns where the name server in this process listens.
func (i *Issuer) Addresses() []netip.AddrPort { return i.addrs }

// Challenge returns the certificate that answers a validation of name by tls-alpn-01,
// if one is under way. It takes a lock that is never held for longer than a look.
func (i *Issuer) Challenge(name string) (*tls.Certificate, bool) {
	if i.challenges == nil {
		return nil, false
	}
	return i.challenges.Certificate(name)
}

// Collectors returns the metrics.
func (i *Issuer) Collectors() []prometheus.Collector {
	list := i.manager.Collectors()
	if i.server != nil {
		list = append(list, i.server.Collectors()...)
	}
	return list
}
