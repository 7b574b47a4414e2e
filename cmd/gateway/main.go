// Command gateway lets TLS clients reach confidential VMs over WireGuard.
//
// Each command has a folder, and cli is what they share. A gateway is made of parts in
// package gateway, not here.
package main

import (
	"os"

	"github.com/spf13/cobra"

	"sallyport/cmd/gateway/acme"
	"sallyport/cmd/gateway/bench"
	"sallyport/cmd/gateway/cli"
	"sallyport/cmd/gateway/demo"
	"sallyport/cmd/gateway/join"
	"sallyport/cmd/gateway/pki"
	"sallyport/cmd/gateway/run"
	"sallyport/cmd/gateway/status"
	"sallyport/cmd/gateway/verify"
)

func main() { os.Exit(cli.Main(newRoot(), os.Args[1:])) }

func newRoot() *cobra.Command {
	return cli.Root(
		&cobra.Command{
			Use:     "gateway",
			Version: version(),
			Short:   "Lets TLS clients reach confidential VMs over WireGuard",
			Long: `gateway lets TLS clients reach confidential VMs over WireGuard.

A client connects with the name <id>-<port>[s|g].<base domain>, where <id> is an app
or an instance. TLS ends at the gateway (g: with HTTP/2), or with s in the CVM: the
gateway then passes the stream through unread.

To see it work:     gateway demo
To run it:          gateway run --config /etc/gateway/gateway.toml`,
		},
		run.New(),
		run.NewCheck(),
		status.New(),
		demo.New(),
		join.New(),
		verify.New(),
		pki.New(),
		acme.New(),
		bench.New(),
		newVersion(),
	)
}
