package issue

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"sallyport/acme"
	"sallyport/acme/caa"
	"sallyport/acme/dns01"
	"sallyport/config"
	"sallyport/internal/oneline"
	"sallyport/registry/store"
)

// Pinning is what the CAA records of the domains should say: that the accounts of this
// gateway alone get certificates, and only by the proof that it uses.
type Pinning struct {
	cfg      *config.Config
	issuer   *Issuer
	pins     *caa.Pins
	accounts []caa.Account // that exist
}

// NewPinning asks the gateway that runs for its accounts, or reads the store if none runs.
func NewPinning(ctx context.Context, cfg *config.Config) (*Pinning, error) {
	method := methodDNS
	if cfg.ACME.DNS == "" {
		method = methodTLS
	}
	p := &Pinning{cfg: cfg, pins: caa.NewPins(method)}
	var err error
	if p.issuer, err = newIssuer(Options{Config: cfg, Log: slog.New(slog.DiscardHandler)}, nil); err != nil {
		return nil, err
	}
	all, err := accounts(ctx, cfg)
	if err != nil {
		return nil, err
	}
	for _, a := range all {
		if a.URI != "" {
			p.accounts = append(p.accounts, caa.Account(a))
		}
	}
	if len(p.accounts) == 0 {
		return nil, errors.New("there is no account to pin yet: the gateway makes one with its first order; start it (gateway run), wait for a certificate (gateway status), then try again")
	}
	return p, nil
}

// accounts asks the gateway that runs, or reads the store of one that does not.
func accounts(ctx context.Context, cfg *config.Config) (list []acme.Account, err error) {
	if err = askGateway(ctx, cfg.Store.Path, http.MethodGet, "/accounts", &list); !errors.Is(err, errNotRunning) {
		return list, err
	}
	file := filepath.Join(cfg.Store.Path, store.FileName)
	if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	db, err := store.OpenBolt(file)
	if err != nil {
		return nil, err
	}
	defer func() { err = oneline.Join(err, db.Close()) }()
	i, err := newIssuer(Options{Config: cfg, Store: db, Log: slog.New(slog.DiscardHandler)}, nil)
	if err != nil {
		return nil, err
	}
	return i.manager.Accounts(ctx)
}

// Records returns the records of a domain.
func (p *Pinning) Records(domain string) ([]caa.Record, error) {
	return p.pins.Records(domain, p.accounts)
}

// Now returns what the records that are there permit for name: a domain, or with "*." in
// front the names below it. It reports false where they refuse this gateway.
func (p *Pinning) Now(ctx context.Context, name string) (string, bool) {
	domain, wildcard := strings.CutPrefix(name, "*.")
	standing, err := p.pins.Standing(ctx, p.issuer.resolver, domain, wildcard, p.accounts)
	if err != nil {
		return fmt.Sprintf("REFUSED: %v", err), false
	}
	switch standing {
	case caa.OpenToAll:
		return "open to every authority: set the records above", true
	case caa.OpenToAccounts:
		return "open to every account at the authority: set the records above", true
	default:
		return "pinned to this account", true
	}
}

// ErrSelfPublished is returned by Set for domains whose records the gateway publishes itself.
var ErrSelfPublished = errors.New("nothing to set: the gateway itself publishes the records of a domain that is delegated to it")

// Set puts the records of a domain in place of those that are there, and returns the zone
// that has changed.
func (p *Pinning) Set(ctx context.Context, domain string) (zone string, err error) {
	provider, ok := p.issuer.provider.(caa.Provider)
	switch {
	case p.issuer.server != nil && p.cfg.ACME.Embedded.Zone == config.ZoneDomain:
		return "", ErrSelfPublished
	case !ok:
		return "", fmt.Errorf("--set: dns = %q cannot change records; set the records that gateway acme caa prints at your DNS provider", p.cfg.ACME.DNS)
	}
	records, err := p.Records(domain)
	if err != nil {
		return "", err
	}
	if zone, err = dns01.FindZone(ctx, p.issuer.resolver, domain); err != nil {
		return "", err
	}
	return zone, caa.Set(ctx, provider, zone, records)
}
