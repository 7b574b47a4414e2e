package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sallyport/bench/trial"
)

// flags are those of every command that measures.
type flags struct {
	trial.Plan
	self    string // this program
	command string // what repeats the measurement
	quick   bool
	out     string
}

// add adds the flags to a command that measures what has these names.
func (f *flags) add(cmd *cobra.Command, names []string, rounds int, duration time.Duration) {
	set := cmd.Flags()
	set.StringVar(&f.Gateway, "gateway", "bin/gateway", "measure this binary of the gateway")
	set.IntVar(&f.Rounds, "rounds", rounds, "how often to measure everything, in rotating order")
	set.DurationVar(&f.Duration, "duration", duration, "how long to measure each figure in a round")
	set.BoolVar(&f.quick, "quick", false, "one short round: a first look")
	set.StringSliceVar(&f.Only, "only", nil, "measure these alone, separated by commas: "+strings.Join(names, ", "))
	set.IntVar(&f.ProxyCPU, "proxy-cpu", 1, "the CPU of what is measured")
	set.IntVar(&f.LoadCPU, "load-cpu", 0, "the CPU of all else")
	set.StringVar(&f.out, "out", "", "write the results to this directory: "+cmd.Name()+".json and what follows from it")
}

// complete completes the flags. Short are the values that --quick gives to flags which
// are not set.
func (f *flags) complete(cmd *cobra.Command, short map[string]string) (err error) {
	f.command = commandLine(cmd)
	if f.quick {
		for name, value := range short {
			if cmd.Flags().Changed(name) {
				continue
			}
			if err := cmd.Flags().Set(name, value); err != nil {
				return err
			}
		}
	}
	if f.self, err = os.Executable(); err != nil {
		return err
	}
	if f.Version, err = versionOf(cmd.Context(), f.Gateway); err != nil {
		return fmt.Errorf("gateway: %w; run make build, or name a binary with --gateway", err)
	}
	f.Progress = func(line string) { fmt.Fprintln(cmd.ErrOrStderr(), line) }
	return nil
}

// commandLine is the command with the flags that are set, except --out.
func commandLine(cmd *cobra.Command) string {
	var b strings.Builder
	b.WriteString("go run ./bench/cmd/measure " + cmd.Name())
	for _, name := range []string{"quick", "rounds", "duration", "warmup", "only", "proxy-cpu", "load-cpu", "gateway", "before"} {
		if f := cmd.Flags().Lookup(name); f != nil && f.Changed {
			fmt.Fprintf(&b, " --%s=%s", name, strings.Trim(f.Value.String(), "[]"))
		}
	}
	return b.String()
}

// versionTime is how long a binary may take to print its version.
const versionTime = 10 * time.Second

// versionOf asks a binary of the gateway for its version.
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
	return "", fmt.Errorf("%s is not a gateway: it prints %.100q", gateway, out)
}
