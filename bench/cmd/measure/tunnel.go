package main

import (
	"time"

	"github.com/spf13/cobra"

	"sallyport/bench/tunnel"
)

func newTunnel() *cobra.Command {
	f := flags{}
	cmd := &cobra.Command{
		Use:   "tunnel",
		Short: "Measure what the gateway adds to its tunnel",
		Long: `tunnel puts a gateway and a CVM into network namespaces of their own, with
wireguard-go between them, and measures the same load through the gateway and straight
into the tunnel of the same process; and requests beside 200 registrations of new
instances a second, 10,000 in all. It needs root and takes two minutes.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.complete(cmd, map[string]string{"rounds": "1", "duration": "1s"}); err != nil {
				return usageError{err}
			}
			o := tunnel.Options{Plan: f.Plan, Self: f.self, Certify: certifyCrowd}
			if err := o.Check(); err != nil {
				return usageError{err}
			}
			results, err := tunnel.Run(cmd.Context(), o)
			if results == nil {
				return err
			}
			return f.keep(cmd, results, err)
		},
	}
	f.add(cmd, tunnel.Names(), 5, 4*time.Second)
	return cmd
}
