package main

import (
	"time"

	"github.com/spf13/cobra"

	"sallyport/bench/hostile"
)

func newHostile() *cobra.Command {
	f := flags{}
	cmd := &cobra.Command{
		Use:   "hostile",
		Short: "Measure honest clients beside attacks, here and at HAProxy",
		Long: `hostile attacks the gateway and HAProxy in turn, one thread each, in network namespaces
of its own, and measures what honest clients see: just before the attack and beside it.
The attacks are those of "gateway bench load". It needs root and takes a quarter of an
hour, --quick a minute, which is a first look and no result.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.complete(cmd, map[string]string{"rounds": "1", "duration": "1s"}); err != nil {
				return usageError{err}
			}
			o := hostile.Options{Plan: f.Plan, Self: f.self}
			if f.quick {
				o.Hasten = 4
			}
			if err := o.Check(); err != nil {
				return usageError{err}
			}
			results, err := hostile.Run(cmd.Context(), o)
			if results == nil {
				return err
			}
			return f.keep(cmd, results, err)
		},
	}
	f.add(cmd, hostile.Names(), 3, 4*time.Second)
	return cmd
}
