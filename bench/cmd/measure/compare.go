package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"sallyport/bench/compare"
)

func newCompare() *cobra.Command {
	return newSuite(compare.Comparison(), true, &cobra.Command{
		Use:   "compare",
		Short: "Measure the gateway beside HAProxy and nginx",
		Long: `compare measures the gateway, HAProxy and nginx in turn: one thread each, on one
CPU, with the load and the backend on another. It prints each goal with what was
reached, and with --out keeps every round as JSON, a table and a chart.

It installs the peers from Debian's packages if they are missing and it runs as root;
without them it measures the gateway alone. With --before it measures another binary
of the gateway in their place, and prints what has changed. The whole takes some 20 minutes, --quick
less than one, which is a first look and no result.`,
	})
}

func newGrowth() *cobra.Command {
	return newSuite(compare.Growth(), false, &cobra.Command{
		Use:   "growth",
		Short: "Measure what connections and instances cost as they grow",
		Long: `growth measures the gateway alone: the cost of a request with 10, 1,000 and 8,000
connections, of a connection with 10 and 100,000 instances, and the memory of 8,000
idle connections. It takes a few minutes.`,
	})
}

// newSuite makes cmd the command that runs a suite.
func newSuite(suite compare.Suite, install bool, cmd *cobra.Command) *cobra.Command {
	f := flags{}
	o := compare.Options{Suite: suite, Install: install, Fill: fillStore}
	f.add(cmd, suite.Names(), 5, 2*time.Second)
	cmd.Flags().DurationVar(&o.Warmup, "warmup", 500*time.Millisecond, "how long to run before that")
	cmd.Flags().StringVar(&o.Before, "before", "", "measure this other binary of the gateway, and no peer")
	cmd.Args = cobra.NoArgs
	cmd.RunE = func(cmd *cobra.Command, _ []string) (err error) {
		if err := f.complete(cmd, map[string]string{"rounds": "1", "duration": "400ms", "warmup": "100ms"}); err != nil {
			return usageError{err}
		}
		if o.Plan = f.Plan; f.quick {
			o.Shrink = 4
		}
		if o.Before != "" {
			if o.BeforeVersion, err = versionOf(cmd.Context(), o.Before); err != nil {
				return usageError{fmt.Errorf("before: %w", err)}
			}
		}
		if err := o.Check(); err != nil {
			return usageError{err}
		}
		results, err := compare.Run(cmd.Context(), o)
		if results == nil {
			return err
		}
		return f.keep(cmd, results, err)
	}
	return cmd
}
