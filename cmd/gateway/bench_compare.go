package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sallyport/bench/compare"
	"sallyport/bench/report"
	"sallyport/cmd/gateway/cli"
	"sallyport/internal/buildinfo"
)

// compareFlags are the flags of bench compare and bench growth.
type compareFlags struct {
	compare.Options
	quick bool
	out   string
}

func newBenchCompare() *cobra.Command {
	cmd := newSuite(compare.Comparison(), true)
	cmd.Use, cmd.Short = "compare", "Measure this gateway beside HAProxy and nginx"
	cmd.Long = `compare measures this gateway, HAProxy and nginx in turn: one thread each, on one
CPU, with the load and the backend on another. It prints each goal with what was
reached, and with --out keeps every round as JSON, a table and a chart.

It installs the peers from Debian's packages if they are missing and it runs as root;
without them it measures the gateway alone. With --before it measures another binary
of the gateway in their place, and prints what has changed. The whole takes some 20 minutes, --quick
less than one, which is a first look and no result.`
	return cmd
}

func newBenchGrowth() *cobra.Command {
	cmd := newSuite(compare.Growth(), false)
	cmd.Use, cmd.Short = "growth", "Measure what connections and instances cost as they grow"
	cmd.Long = `growth measures this gateway alone: the cost of a request with 10, 1,000 and 8,000
connections, of a connection with 10 and 100,000 instances, and the memory of 8,000
idle connections. It takes a few minutes.`
	return cmd
}

func newSuite(suite compare.Suite, install bool) *cobra.Command {
	f := compareFlags{Options: compare.Options{Suite: suite, Install: install, Version: buildinfo.Version(), Fill: fillStore}}
	cmd := &cobra.Command{
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.complete(cmd); err != nil {
				return cli.Usage(err)
			}
			return f.run(cmd)
		},
	}
	flags := cmd.Flags()
	flags.IntVar(&f.Rounds, "rounds", 5, "rounds, each with every proxy once")
	flags.DurationVar(&f.Duration, "duration", 2*time.Second, "how long to measure a proxy in a round")
	flags.DurationVar(&f.Warmup, "warmup", 500*time.Millisecond, "how long to run before that")
	flags.BoolVar(&f.quick, "quick", false, "one short round with fewer connections: a first look")
	flags.StringSliceVar(&f.Only, "only", nil, "only these workloads, separated by commas: "+strings.Join(suite.Names(), ", "))
	flags.IntVar(&f.ProxyCPU, "proxy-cpu", 1, "the proxy's CPU")
	flags.IntVar(&f.LoadCPU, "load-cpu", 0, "the CPU of the load and the backend")
	flags.StringVar(&f.Before, "before", "", "measure this other binary of the gateway, and no peer")
	flags.StringVar(&f.out, "out", "", "write "+suite.Name+".json, .md and .svg to this directory")
	return cmd
}

// complete makes Options of the flags and checks them.
func (f *compareFlags) complete(cmd *cobra.Command) (err error) {
	if f.quick {
		flags := cmd.Flags()
		quick := func(name string, set func()) {
			if !flags.Changed(name) {
				set()
			}
		}
		quick("rounds", func() { f.Rounds = 1 })
		quick("duration", func() { f.Duration = 400 * time.Millisecond })
		quick("warmup", func() { f.Warmup = 100 * time.Millisecond })
		f.Shrink = 4
	}
	if f.Gateway, err = os.Executable(); err != nil {
		return err
	}
	if f.Before != "" {
		if f.BeforeVersion, err = versionOf(cmd.Context(), f.Before); err != nil {
			return fmt.Errorf("before: %w", err)
		}
	}
	f.Progress = func(line string) { fmt.Fprintln(cmd.ErrOrStderr(), line) }
	return f.Check()
}

func (f *compareFlags) run(cmd *cobra.Command) error {
	ctx, stop := cli.UntilSignal(cmd.Context(), func() {})
	defer stop()
	results, err := compare.Run(ctx, f.Options)
	if results != nil { // also what there is when it was interrupted
		results.Quick = f.quick
		results.Command = "gateway bench " + f.Suite.Name + told(cmd)
		results.WriteMarkdown(cmd.OutOrStdout())
	}
	if err != nil {
		return err
	}
	if f.out != "" {
		if err := writeResults(f.out, f.Suite.Name, results); err != nil {
			return err
		}
	}
	return measuredAll(results)
}

// told are the flags as they were set, but for where to write.
func told(cmd *cobra.Command) string {
	var b strings.Builder
	for _, name := range []string{"quick", "rounds", "duration", "warmup", "only", "proxy-cpu", "load-cpu", "gateway", "before"} {
		if f := cmd.Flags().Lookup(name); f != nil && f.Changed {
			fmt.Fprintf(&b, " --%s=%s", name, strings.Trim(f.Value.String(), "[]"))
		}
	}
	return b.String()
}

// measuredAll is an error if a run was not made: the figures are not whole.
func measuredAll(r *report.Results) error {
	for _, run := range r.Runs {
		if run.Error != "" {
			return fmt.Errorf("%s, %s: %s", run.Workload, run.Proxy, run.Error)
		}
	}
	return nil
}

// writeResults writes every form, each whole or not at all.
func writeResults(dir, name string, r figures) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	err := writeFile(filepath.Join(dir, name+".json"), r.WriteJSON)
	return errors.Join(err, render(dir, name, r))
}

// render writes what follows from the JSON form.
func render(dir, name string, r figures) error {
	whole := func(write func(io.Writer)) func(io.Writer) error {
		return func(w io.Writer) error {
			write(w)
			return nil
		}
	}
	err := writeFile(filepath.Join(dir, name+".md"), whole(r.WriteMarkdown))
	if chart, ok := r.(interface{ WriteSVG(io.Writer) }); ok {
		err = errors.Join(err, writeFile(filepath.Join(dir, name+".svg"), whole(chart.WriteSVG)))
	}
	return err
}

func writeFile(path string, write func(io.Writer) error) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }() // it is no more, if all went well
	if err := errors.Join(write(f), f.Chmod(0o644), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
