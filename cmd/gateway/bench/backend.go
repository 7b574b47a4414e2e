package bench

import (
	"fmt"
	"net/netip"

	"github.com/spf13/cobra"

	"sallyport/bench/backend"
	"sallyport/cmd/gateway/cli"
)

func newBackend() *cobra.Command {
	var (
		listen string
		cpu    int
	)
	cmd := &cobra.Command{
		Use:   "backend",
		Short: "Serve what bench load asks for",
		Long: `backend is the server behind the gateway that bench load measures. It echoes, sinks, sends or
trickles, as each connection asks. It speaks no TLS and skips a ClientHello. It runs until
SIGINT or SIGTERM.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			at, err := netip.ParseAddrPort(listen)
			if err != nil {
				return cli.Usage(fmt.Errorf("--listen %q: want IP:port", listen))
			}
			if cpu >= maxCPUs {
				return cli.Usage(fmt.Errorf("cpu %d: want less than %d", cpu, maxCPUs))
			}
			server, err := backend.Listen(at)
			if err != nil {
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), server.Addr())
			ctx, stop := cli.UntilSignal(cmd.Context(), nil)
			defer stop()
			return server.Run(ctx, cpu)
		},
	}
	cmd.Flags().StringVar(&listen, "listen", "127.0.0.1:0", "where to listen, IP:port; port 0 takes a free one and prints it")
	cmd.Flags().IntVar(&cpu, "cpu", -1, "pin the event loop to this CPU")
	return cmd
}
