package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"sallyport/acme"
	"sallyport/acme/caa"
	"sallyport/acme/dns01"
	"sallyport/cmd/gateway/cli"
	"sallyport/config"
	"sallyport/registry/store"
)

func newACMECAA() *cobra.Command {
	var (
		file string
		set  bool
	)
	cmd := &cobra.Command{
		Use:   "caa --config FILE [--set]",
		Short: "Print or set the CAA records that let this gateway's account alone issue",
		Long: `caa prints for each domain the CAA records (RFC 8659, 8657) by which only this gateway's
account at its authorities gets certificates, and only by the proof that it uses; and tells what
the records that are there now permit. With --set it puts them in place of those that are there,
where it can change records (dns = "rfc2136" or "cloudflare"). With dns = "embedded" for a whole
domain the gateway publishes them itself.

It asks the gateway that runs for its accounts, or reads the store if none runs. Without an account
there is nothing to pin: the first order makes it.

Exit code 1: the records that are there refuse this gateway, or there is no account yet, or they
could not be set.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := loadACME(cmd, file)
			if err != nil {
				return err
			}
			ctx, stop := context.WithTimeout(cmd.Context(), time.Minute)
			defer stop()
			p, err := newPinning(ctx, cfg)
			if err != nil {
				return err
			}
			if set {
				if err := p.set(ctx, cmd.OutOrStdout()); err != nil {
					return err
				}
			}
			return p.show(ctx, cmd.OutOrStdout())
		},
	}
	cli.ConfigFlag(cmd, &file)
	cmd.Flags().BoolVar(&set, "set", false, "set the records, in place of those that are there")
	return cmd
}

// pinning is what the CAA records are to say.
type pinning struct {
	cfg      *config.Config
	issuer   *issuer
	method   string
	accounts []acme.Account // that exist
}

func newPinning(ctx context.Context, cfg *config.Config) (*pinning, error) {
	p := &pinning{cfg: cfg, method: methodDNS}
	if cfg.ACME.DNS == "" {
		p.method = methodTLS
	}
	var err error
	if p.issuer, err = newIssuer(cfg, acmeStore{}, servesNothing, nil, slog.New(slog.DiscardHandler)); err != nil {
		return nil, err
	}
	all, err := accounts(ctx, cfg)
	if err != nil {
		return nil, err
	}
	for _, a := range all {
		if a.URI != "" {
			p.accounts = append(p.accounts, a)
		}
	}
	if len(p.accounts) == 0 {
		return nil, fmt.Errorf("there is no account yet, so nothing to pin: the gateway makes one with its first order; run it (gateway run), see gateway status, then try again")
	}
	return p, nil
}

// accounts asks the gateway that runs, or reads the store of one that does not.
func accounts(ctx context.Context, cfg *config.Config) (list []acme.Account, err error) {
	if err = askGateway(ctx, cfg.Store.Path, http.MethodGet, "/accounts", &list); !errors.Is(err, errNotRunning) {
		return list, err
	}
	file := filepath.Join(cfg.Store.Path, storeFile)
	if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	db, err := store.OpenBolt(file)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	i, err := newIssuer(cfg, acmeStore{db}, servesNothing, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	return i.manager.Accounts(ctx)
}

// records are those of a domain.
func (p *pinning) records(domain string) (records []caa.Record, err error) {
	for _, a := range p.accounts {
		ids := caa.Identities(a.Directory, a.Identities)
		if len(ids) == 0 {
			return nil, fmt.Errorf("%s: %w; ask its operator, and whether it looks at CAA records", a.Directory, caa.ErrUnidentified)
		}
		list, err := caa.Records(domain, ids[0], a.URI, []string{p.method})
		if err != nil {
			return nil, err
		}
		records = append(records, list...)
	}
	return records, nil
}

// show prints the records of all domains, and what is there now.
func (p *pinning) show(ctx context.Context, out io.Writer) error {
	refused := false
	for _, d := range p.cfg.Domains {
		if !d.ACME {
			continue
		}
		records, err := p.records(d.Name)
		if err != nil {
			return err
		}
		for _, r := range records {
			fmt.Fprintln(out, r)
		}
		for _, name := range namesOf([]config.Domain{d}) {
			now, ok := p.now(ctx, d.Name, name != d.Name)
			refused = refused || !ok
			fmt.Fprintf(out, "; now, for %s: %s\n", name, now)
		}
	}
	if refused {
		return cli.ErrReported
	}
	return nil
}

// now tells what the records that are there permit; false: not us.
func (p *pinning) now(ctx context.Context, domain string, wildcard bool) (string, bool) {
	ask := func(ids []string, account string) error {
		return caa.Check(ctx, p.issuer.resolver, caa.Request{Name: domain, Wildcard: wildcard, Identities: ids, AccountURI: account, Method: p.method})
	}
	for _, a := range p.accounts {
		if err := ask(caa.Identities(a.Directory, a.Identities), a.URI); err != nil {
			return fmt.Sprintf("REFUSED: %v", err), false
		}
	}
	const stranger = "nobody.invalid"
	if ask([]string{stranger}, "") == nil {
		return "open to every authority: set the records above", true
	}
	for _, a := range p.accounts {
		if ask(caa.Identities(a.Directory, a.Identities), "https://"+stranger+"/") == nil {
			return "open to every account at the authority: set the records above", true
		}
	}
	return "pinned to this account", true
}

// set puts the records of all domains in place.
func (p *pinning) set(ctx context.Context, out io.Writer) error {
	provider, ok := p.issuer.provider.(caa.Provider)
	switch {
	case p.issuer.server != nil && p.cfg.ACME.Embedded.Zone == config.ZoneDomain:
		fmt.Fprintln(out, "; of a domain that is delegated to it the gateway publishes them itself: nothing to set")
		return nil
	case !ok:
		return fmt.Errorf("--set: records cannot be changed by dns = %q; set those that gateway acme caa prints at your DNS provider", p.cfg.ACME.DNS)
	}
	for _, d := range p.cfg.Domains {
		if !d.ACME {
			continue
		}
		records, err := p.records(d.Name)
		if err != nil {
			return err
		}
		zone, err := dns01.FindZone(ctx, p.issuer.resolver, d.Name)
		if err != nil {
			return err
		}
		if err := caa.Set(ctx, provider, zone, records); err != nil {
			return err
		}
		fmt.Fprintf(out, "; set at %s in zone %s; resolvers may take some minutes to see it\n", d.Name, zone)
	}
	return nil
}
