package acme

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"sallyport/cmd/gateway/cli"
	"sallyport/config"
	"sallyport/gateway/issue"
)

func newCAA() *cobra.Command {
	var (
		file string
		set  bool
	)
	cmd := &cobra.Command{
		Use:   "caa --config FILE [--set]",
		Short: "Print or set CAA records that allow only this gateway's account to issue",
		Long: `caa prints for each domain the CAA records (RFC 8659, 8657) that allow only this gateway's
account at its authorities to issue, and only by its kind of proof. It also prints what the
present records permit. --set replaces the present records, if the gateway can change records
(dns = "rfc2136" or "cloudflare"). With dns = "embedded" for a whole domain, the gateway
publishes the records itself.

It asks a running gateway for its accounts, or reads the store if none runs. Without an
account it cannot print records: the first order makes the account.

Exit code 1: the present records refuse this gateway, there is no account yet, or the records
could not be set.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := load(cmd, file)
			if err != nil {
				return err
			}
			ctx, stop := context.WithTimeout(cmd.Context(), time.Minute)
			defer stop()
			p, err := issue.NewPinning(ctx, cfg)
			if err != nil {
				return err
			}
			if set {
				if err := setPins(ctx, cmd.OutOrStdout(), cfg, p); err != nil {
					return err
				}
			}
			return showPins(ctx, cmd.OutOrStdout(), cfg, p)
		},
	}
	cli.ConfigFlag(cmd, &file)
	cmd.Flags().BoolVar(&set, "set", false, "set the records instead of the present ones")
	return cmd
}

// showPins prints the records of all domains, and what is there now.
func showPins(ctx context.Context, out io.Writer, cfg *config.Config, p *issue.Pinning) error {
	refused := false
	for _, d := range cfg.Domains {
		if !d.ACME {
			continue
		}
		records, err := p.Records(d.Name)
		if err != nil {
			return err
		}
		for _, r := range records {
			fmt.Fprintln(out, r)
		}
		for _, name := range issue.Names([]config.Domain{d}) {
			now, ok := p.Now(ctx, name)
			refused = refused || !ok
			fmt.Fprintf(out, "; now, for %s: %s\n", name, now)
		}
	}
	if refused {
		return cli.ErrReported
	}
	return nil
}

// setPins puts the records of all domains in place.
func setPins(ctx context.Context, out io.Writer, cfg *config.Config, p *issue.Pinning) error {
	for _, d := range cfg.Domains {
		if !d.ACME {
			continue
		}
		zone, err := p.Set(ctx, d.Name)
		if errors.Is(err, issue.ErrSelfPublished) {
			fmt.Fprintln(out, ";", err)
			return nil
		}
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "; set at %s in zone %s; resolvers may take some minutes to see it\n", d.Name, zone)
	}
	return nil
}
