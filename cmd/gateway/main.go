// Command gateway lets TLS clients reach confidential VMs over WireGuard.
//
// Each command stands in the file of its name. run.go is the wiring: it makes
// the parts of one gateway from its configuration and joins them.
package main

import (
	"context"
	"errors"
	"os"

	"github.com/spf13/cobra"

	"sallyport/cmd/gateway/bench"
	"sallyport/cmd/gateway/cli"
	"sallyport/cmd/gateway/join"
	"sallyport/cmd/gateway/pki"
)

func main() { os.Exit(realMain(os.Args[1:])) }

func realMain(args []string) int {
	root := newRoot()
	root.SetArgs(args)
	return cli.End(root.ExecuteContext(context.Background()))
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
		Args:          cli.UsageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			_ = cmd.Help()
			return cli.Usage(errors.New("a command is needed"))
		},
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return cli.Usage(err) })
	root.AddCommand(newRun(), newACME(), bench.New(), newCheck(), newDemo(), join.New(), pki.New(), newStatus(), newVerify(), newVersion())
	for _, c := range root.Commands() {
		c.Args = cli.UsageArgs(c.Args)
	}
	return root
}
