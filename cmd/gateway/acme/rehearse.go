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
		Short: "Get a test certificate for each domain",
		Long: `test makes a complete order for each name at the authority's staging directory and discards
the certificates. A failure here would also be a failure there, but uses up no rate limit.
Authorities other than Let's Encrypt and Google need [acme] staging.

Run it before the first start or while the gateway runs. If control of a domain is proved on
a port of the gateway (dns = "embedded", or wildcard = false without dns), a running gateway
does the rehearsal with the configuration that it has read. Otherwise this command opens the
port meanwhile.

Exit code 0: the real orders should succeed. 1: one would fail.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := load(cmd, file)
			if err != nil {
				return err
			}
			ctx, stop := cli.UntilSignal(cmd.Context(), nil)
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
