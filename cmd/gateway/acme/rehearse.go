package acme

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"sallyport/cmd/gateway/cli"
	"sallyport/config"
	"sallyport/gateway/issue"
)

func newTest() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "test --config FILE",
		Short: "Get a test certificate for each domain, all the way",
		Long: `test makes a whole order for each name at the staging directory of the authority, and
throws the certificates away: what fails here would fail there, and counts nowhere. For other
authorities than Let's Encrypt and Google it needs [acme] staging.

It may be run before the first start and while the gateway runs. Where control of a domain is
proved on a port of the gateway (dns = "embedded", or wildcard = false without dns), a gateway
that runs rehearses itself, by the configuration that it has read; otherwise this command opens
the port meanwhile.

Exit code 0: the real orders can be expected to succeed. 1: one cannot.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := load(cmd, file)
			if err != nil {
				return err
			}
			ctx, stop := cli.UntilSignal(cmd.Context(), func() {})
			defer stop()
			log, _, flush := cli.NewLogger(cmd.ErrOrStderr(), cfg.Log)
			defer flush()
			return rehearse(ctx, cmd.OutOrStdout(), cfg, log)
		},
	}
	cli.ConfigFlag(cmd, &file)
	return cmd
}

// rehearse rehearses and prints how it went.
func rehearse(ctx context.Context, out io.Writer, cfg *config.Config, log *slog.Logger) error {
	list, err := issue.Rehearse(ctx, cfg, log)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	failed := false
	for _, r := range list {
		result := "ok: a test certificate was issued"
		if r.Error != "" {
			failed, result = true, "FAILED: "+r.Error
		}
		fmt.Fprintf(w, "%s\t%.1f s\t%s\n", r.Name, r.Seconds, result)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if failed {
		return cli.ErrReported
	}
	return nil
}
