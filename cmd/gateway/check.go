package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"sallyport/certs"
	"sallyport/cmd/gateway/cli"
	"sallyport/config"
	"sallyport/gateway/appraise"
	"sallyport/gateway/issue"
	"sallyport/internal/oneline"
)

func newCheck() *cobra.Command {
	var (
		file    string
		example bool
	)
	cmd := &cobra.Command{
		Use:   "check --config FILE",
		Short: "Check a configuration",
		Long: `check reads a configuration and the certificates it names, looks for a quote source
if a domain needs one, reads the secrets of [acme] if one needs that, and prints every
problem, one a line, as file:line:column: key: what is wrong. It changes nothing. It also
tells how the limit of descriptors would be divided here (ulimit -n), with a warning if the
file asks for more; the one of the service may be another.

Exit code 0: gateway run would start with it. 1: there is a problem.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			out := cmd.OutOrStdout()
			if example {
				fmt.Fprint(out, config.Example)
				return nil
			}
			cfg, err := cli.LoadConfig(out, file)
			if err != nil {
				return err
			}
			_, err = certs.Open(issue.Sources(cfg.Domains), certs.Options{MinVersion: cfg.Proxy.TLSMinVersion, CipherSuites: cfg.Proxy.TLS12Ciphers})
			if err := oneline.Join(err, issue.CheckQuotes(cmd.Context(), cfg), issue.Check(cfg), appraise.CheckUpstreams(cfg)); err != nil {
				fmt.Fprintln(out, err)
				return cli.ErrReported
			}
			fmt.Fprintf(out, "%s: ok: %d domains, %d static instances\n", file, len(cfg.Domains), len(cfg.Instances))
			tellDescriptors(out, cfg)
			return nil
		},
	}
	cli.ConfigFlag(cmd, &file)
	cmd.Flags().BoolVar(&example, "example", false, "print a complete configuration, every key explained, and check nothing")
	return cmd
}
