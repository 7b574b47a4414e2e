// Package pki is the command pki: a small certificate authority that issues what a
// KMS of dstack would. The authority is of package ratls.
//
// It does not ask for evidence.
package pki

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"sallyport/cmd/gateway/cli"
	"sallyport/ratls"
)

// New returns the command.
func New() *cobra.Command {
	return cli.Group(&cobra.Command{
		Use:   "pki",
		Short: "Issue certificates where there is no KMS",
		Long: `pki is a small certificate authority that issues what a dstack KMS would: for VMs that
join without dstack, for tests, and for the gateway's own [rpc] certificate. It checks no
attestation: whoever can read its key decides which VMs belong to an app.

	gateway pki init --dir /etc/gateway/pki`,
	}, newInit(), newIssue())
}

func newInit() *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:   "init --dir DIR",
		Short: "Make an authority",
		Long: `init makes an authority that is valid for 10 years. It writes DIR/ca.pem, which gateways
trust as [rpc] client_ca and VMs as the CA of their gateway, and DIR/ca.key, which only
its owner may read. It overwrites neither.

	gateway pki init --dir /etc/gateway/pki`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if dir == "" {
				return cli.Usage(errors.New("pki init: --dir is needed"))
			}
			return initialize(cmd.OutOrStdout(), dir)
		},
	}
	cmd.Flags().StringVar(&dir, "dir", "", "directory of the authority, created if missing")
	return cmd
}

// initialize makes an authority in dir.
func initialize(out io.Writer, dir string) error {
	ca, err := ratls.NewAuthority()
	if err != nil {
		return err
	}
	if err := ca.Save(dir); err != nil {
		return err
	}
	fmt.Fprintf(out, "%s: valid until %s\n%s: keep it secret\n", filepath.Join(dir, ratls.RootFile), day(ca.Root().NotAfter), filepath.Join(dir, ratls.RootKeyFile))
	return nil
}

func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }
