// Command gateway lets TLS clients reach confidential VMs over WireGuard.
//
// Each command stands in the file of its name. run.go is the wiring: it makes
// the parts of one gateway from its configuration and joins them.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

// Exit codes.
const (
	exitDone   = 0
	exitFailed = 1 // the check or the work failed
	exitUsage  = 2
	// of verify
	exitUnproven  = 3
	exitUndecided = 4
)

// errUsage marks an error of the command line.
type usageError struct{ error }

// errSaid is a failure that has been told already.
var errSaid = errors.New("failed")

func main() { os.Exit(realMain(os.Args[1:])) }

func realMain(args []string) int {
	root := newRoot()
	root.SetArgs(args)
	err := root.ExecuteContext(context.Background())
	var usage usageError
	switch {
	case err == nil:
		return exitDone
	case errors.Is(err, errUnproven):
		return exitUnproven
	case errors.Is(err, errUndecided):
		return exitUndecided
	case errors.Is(err, errSaid):
		return exitFailed
	case errors.As(err, &usage):
		say(err)
		return exitUsage
	}
	say(err)
	return exitFailed
}

// say tells why the command failed, if somebody reads it: who reads no more must not
// keep the process from its end.
func say(err error) {
	said := make(chan struct{})
	go func() {
		defer close(said)
		fmt.Fprintf(os.Stderr, "gateway: %v\n", err)
	}()
	select {
	case <-said:
	case <-time.After(flushTime):
	}
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "gateway",
		Short: "Lets TLS clients reach confidential VMs over WireGuard",
		Long: `gateway lets TLS clients reach confidential VMs over WireGuard.

A client connects with the name <app-id>-<port>[s|g].<base domain>: the gateway
ends TLS (g: with HTTP/2), or with s passes the stream through unread, to one of
the app's machines.

To see it work:     gateway demo
To run it:          gateway run --config /etc/gateway/gateway.toml`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			_ = cmd.Help()
			return usageError{errors.New("a command is needed")}
		},
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.AddCommand(newRun(), newACME(), newBench(), newCheck(), newDemo(), newJoin(), newPKI(), newStatus(), newVerify(), newVersion())
	for _, c := range root.Commands() {
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

// untilSignal returns a context that ends at the first SIGINT or SIGTERM, and
// calls again at the second one.
func untilSignal(ctx context.Context, again func()) (context.Context, func()) {
	ctx, cancel := context.WithCancel(ctx)
	stop := onSignal(func() {
		if ctx.Err() != nil {
			again()
		}
		cancel()
	}, syscall.SIGINT, syscall.SIGTERM)
	return ctx, func() {
		stop()
		cancel()
	}
}

// onSignal calls f for each of the signals, one after the other, until the returned
// function is called, which waits for the last call.
func onSignal(f func(), sigs ...os.Signal) (stop func()) {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, sigs...)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range signals {
			f()
		}
	}()
	return func() {
		signal.Stop(signals)
		close(signals)
		<-done
	}
}
