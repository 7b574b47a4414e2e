package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sallyport/bench/hostile"
	"sallyport/cmd/gateway/cli"
	"sallyport/internal/buildinfo"
)

// hostileFlags are the flags of bench hostile.
type hostileFlags struct {
	hostile.Options
	quick bool
	out   string
}

func newBenchHostile() *cobra.Command {
	f := hostileFlags{Options: hostile.Options{Version: buildinfo.Version()}}
	cmd := &cobra.Command{
		Use:   "hostile",
		Short: "Measure honest clients beside attacks, here and at HAProxy",
		Long: `hostile attacks this gateway and HAProxy in turn, one thread each, in network namespaces
of its own, and measures what honest clients see: just before the attack and beside it.
The attacks are those of "gateway bench load". It needs root and takes a quarter of an
hour, --quick a minute, which is a first look and no result.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.complete(cmd); err != nil {
				return cli.Usage(err)
			}
			return f.run(cmd)
		},
	}
	flags := cmd.Flags()
	flags.IntVar(&f.Rounds, "rounds", 3, "rounds, each with both proxies once")
	flags.DurationVar(&f.Duration, "duration", 4*time.Second, "how long to measure, before an attack and beside it")
	flags.BoolVar(&f.quick, "quick", false, "one short round: a first look")
	flags.StringSliceVar(&f.Only, "only", nil, "only these attacks, separated by commas: "+strings.Join(hostile.Names(), ", "))
	flags.IntVar(&f.ProxyCPU, "proxy-cpu", 1, "the proxy's CPU")
	flags.IntVar(&f.LoadCPU, "load-cpu", 0, "the CPU of clients, attackers and the backend")
	flags.StringVar(&f.Gateway, "gateway", "", "measure this binary of the gateway (default: this one)")
	flags.StringVar(&f.out, "out", "", "write hostile.json and .md to this directory")
	return cmd
}

// complete makes Options of the flags and checks them.
func (f *hostileFlags) complete(cmd *cobra.Command) (err error) {
	if f.quick {
		flags := cmd.Flags()
		if !flags.Changed("rounds") {
			f.Rounds = 1
		}
		if !flags.Changed("duration") {
			f.Duration = time.Second
		}
		f.Hasten = 4
	}
	if f.Self, err = os.Executable(); err != nil {
		return err
	}
	if f.Gateway == "" {
		f.Gateway = f.Self
	} else if f.Version, err = versionOf(cmd.Context(), f.Gateway); err != nil {
		return fmt.Errorf("gateway: %w", err)
	}
	f.Progress = func(line string) { fmt.Fprintln(cmd.ErrOrStderr(), line) }
	return f.Check()
}

func (f *hostileFlags) run(cmd *cobra.Command) error {
	ctx, stop := cli.UntilSignal(cmd.Context(), func() {})
	defer stop()
	results, err := hostile.Run(ctx, f.Options)
	if results != nil { // also what there is when it was interrupted
		results.Quick = f.quick
		results.Command = "gateway bench hostile" + told(cmd)
		results.WriteMarkdown(cmd.OutOrStdout())
	}
	if err != nil {
		return err
	}
	if f.out != "" {
		if err := writeResults(f.out, "hostile", results); err != nil {
			return err
		}
	}
	if failures := results.Failures(); len(failures) > 0 {
		return errors.New(failures[0])
	}
	return nil
}

// versionTime is how long another binary may take to say its version.
const versionTime = 10 * time.Second

// versionOf asks another binary of the gateway for its version.
func versionOf(ctx context.Context, gateway string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, versionTime)
	defer cancel()
	out, err := exec.CommandContext(ctx, gateway, "version").Output()
	if err != nil {
		return "", fmt.Errorf("ask %s for its version: %w", gateway, err)
	}
	if words := strings.Fields(string(out)); len(words) > 1 && words[0] == "gateway" {
		return words[1], nil
	}
	return "", fmt.Errorf("%s is not a gateway: it says %.100q", gateway, out)
}
