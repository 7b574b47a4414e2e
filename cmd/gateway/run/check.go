package run

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"sallyport/cmd/gateway/cli"
	"sallyport/config"
	"sallyport/gateway"
	"sallyport/internal/oneline"
	"sallyport/wg"
)

// NewCheck returns the command check.
func NewCheck() *cobra.Command {
	var (
		file    string
		example bool
	)
	cmd := &cobra.Command{
		Use:   "check --config FILE",
		Short: "Check a configuration",
		Long: `check reads a configuration and prints each of its problems on a line of its own, as
file:line:column: key: problem. If there are none, it also reads the certificates, keys,
secrets and lists that the file names, and looks for a quote source if a domain needs one.
It changes nothing. It also prints how the limit of descriptors (ulimit -n) would be
divided here, and warns if the file asks for more. A service may have another limit.

Exit code 0: no problem was found. Ports, the tunnel, the state and the guest agent are
only tried by gateway run. 1: there is a problem.`,
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
			if problems := oneline.Split(gateway.Check(cmd.Context(), cfg)); len(problems) > 0 {
				for _, err := range problems {
					fmt.Fprintln(out, err)
				}
				return cli.ErrReported
			}
			fmt.Fprintf(out, "%s: ok; domains: %d, static instances: %d\n", file, len(cfg.Domains), len(cfg.Instances))
			writeDescriptors(out, cfg)
			return nil
		},
	}
	cli.ConfigFlag(cmd, &file)
	cmd.Flags().BoolVar(&example, "example", false, "print a complete configuration that explains every key, and check nothing")
	return cmd
}

// writeDescriptors prints how the descriptors would be divided here.
func writeDescriptors(out io.Writer, cfg *config.Config) {
	b, err := gateway.Divide(cfg, wg.Mode(cfg.WireGuard.Mode))
	if err != nil {
		fmt.Fprintf(out, "warning: %v\n", err)
		return
	}
	var shares []string
	for _, s := range b.Shares() {
		if s.Descriptors > 0 {
			shares = append(shares, fmt.Sprintf("%s %d", s.Name, s.Descriptors))
		}
	}
	fmt.Fprintf(out, "the limit of %d descriptors here allows %d connections of %d each (%s)\n", b.Limit, b.Connections, b.PerConnection, strings.Join(shares, ", "))
	if cfg.Proxy.MaxConnections > b.Room {
		fmt.Fprintf(out, "warning: max_connections = %d is more than %d descriptors allow: the limit would be %d; raise the limit of descriptors where the gateway runs (LimitNOFILE=, ulimit -n)\n",
			cfg.Proxy.MaxConnections, b.Limit, b.Connections)
	}
}
