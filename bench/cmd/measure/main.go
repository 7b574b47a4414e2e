// Command measure measures a gateway: beside HAProxy and nginx, as connections and
// instances grow, in its tunnel, and under attack. It installs the peers that are
// missing and makes network namespaces, which a program in production must not do:
// so it is a program of its own.
//
//	make build
//	go run ./bench/cmd/measure compare --quick
//
// How to read it: a file for each command, flags.go for what they share, results.go
// for what becomes of the figures, and parts.go for the processes of this program that
// a measurement starts.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// Exit codes.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

// usageError is an error of the command line.
type usageError struct{ error }

func main() { os.Exit(realMain(os.Args[1:])) }

func realMain(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	root := newRoot()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitDone
	}
	fmt.Fprintf(os.Stderr, "measure: %v\n", err)
	if usage := (usageError{}); errors.As(err, &usage) {
		return exitUsage
	}
	return exitFailed
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "measure",
		Short: "Measure a gateway, beside its peers and under attack",
		Long: `measure measures the gateway bin/gateway, which "make build" makes, or the one that
--gateway names. One attack, or load of one kind, is "gateway bench load".`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_ = cmd.Help()
			return usageError{errors.New("compare, growth, tunnel, hostile or report is needed")}
		},
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.AddCommand(newCompare(), newGrowth(), newTunnel(), newHostile(), newReport())
	root.AddCommand(newAttackPart(), newLoadPart(), newCVMPart(), newCrowdPart())
	for _, c := range append(root.Commands(), root) {
		c.Args = usageArgs(c.Args)
	}
	return root
}

// usageArgs makes wrong arguments an error of usage.
func usageArgs(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return usageError{err}
		}
		return nil
	}
}
