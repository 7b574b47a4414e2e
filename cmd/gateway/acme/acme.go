// Package acme is the command acme: it rehearses the certificates of an authority, and
// pins who may issue them. Package gateway/issue does both.
package acme

import (
	"fmt"

	"github.com/spf13/cobra"

	"sallyport/cmd/gateway/cli"
	"sallyport/config"
	"sallyport/gateway/issue"
)

// New returns the command.
func New() *cobra.Command {
	return cli.Group(
		&cobra.Command{Use: "acme", Short: "Rehearse orders of certificates, and limit issuance by CAA records"},
		newTest(), newCAA(),
	)
}

// load is config.Load for commands that need a domain with acme = true.
func load(cmd *cobra.Command, file string) (*config.Config, error) {
	cfg, err := cli.LoadConfig(cmd.ErrOrStderr(), file)
	if err == nil && !issue.HasACME(cfg.Domains) {
		err = fmt.Errorf("%s: no [[domain]] has acme = true", file)
	}
	return cfg, err
}
