package pki

import (
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"sallyport/cmd/gateway/cli"
	"sallyport/ratls"
)

const maxDays = 3660 // no authority lives longer

// issueFlags are what a certificate is asked to say.
type issueFlags struct {
	dir, out                string
	app, instance, compose  string
	server                  bool
	names                   []string
	days                    int
	instanceSet, composeSet bool
	daysSet                 bool
}

func newIssue() *cobra.Command {
	var f issueFlags
	cmd := &cobra.Command{
		Use:   "issue --dir DIR --app-id ID --out NAME",
		Short: "Issue a certificate for a VM, or for the gateway's own API",
		Long: `issue makes a key and a certificate and writes NAME.pem (certificate, app CA,
root) and NAME.key. It overwrites neither.

For a VM of an app. The instance id is random unless it is given; give it again to
issue another certificate for the same instance:

	gateway pki issue --dir /etc/gateway/pki --out vm1 \
	    --app-id deadbeef111111111111111111111111deadbeef

For the gateway's API ([rpc] cert and key), with the names by which VMs reach it. The
app id is the one that dstack guests know as gateway_app_id:

	gateway pki issue --dir /etc/gateway/pki --out rpc --server \
	    --name gw.example.com --app-id 6a7e111111111111111111111111111111111111`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			f.instanceSet, f.composeSet = cmd.Flags().Changed("instance-id"), cmd.Flags().Changed("compose-hash")
			f.daysSet = cmd.Flags().Changed("days")
			request, err := f.request()
			if err != nil {
				return cli.Usage(fmt.Errorf("pki issue: %w", err))
			}
			return issue(cmd.OutOrStdout(), f.dir, f.out, request)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.dir, "dir", "", "directory of the authority")
	flags.StringVar(&f.out, "out", "", "path of the files, without .pem and .key")
	flags.StringVar(&f.app, "app-id", "", "app, 40 hex digits")
	flags.StringVar(&f.instance, "instance-id", "", "instance, 40 hex digits (default: a new one)")
	flags.StringVar(&f.compose, "compose-hash", "", "SHA-256 of the app's compose file, 64 hex digits (default: none)")
	flags.BoolVar(&f.server, "server", false, "for the gateway's API instead of a VM")
	flags.StringArrayVar(&f.names, "name", nil, "with --server: host name or IP address; may be repeated")
	flags.IntVar(&f.days, "days", 0, "days of validity (default: as long as the authority)")
	return cmd
}

// request checks the flags.
func (f issueFlags) request() (ratls.Request, error) {
	switch {
	case f.dir == "" || f.out == "" || f.app == "":
		return ratls.Request{}, errors.New("--dir, --out and --app-id are needed")
	case f.daysSet && (f.days < 1 || f.days > maxDays):
		return ratls.Request{}, fmt.Errorf("--days %d: want 1 to %d", f.days, maxDays)
	case f.server && len(f.names) == 0:
		return ratls.Request{}, errors.New("--server needs --name: VMs check it")
	case f.server && (f.instanceSet || f.composeSet):
		return ratls.Request{}, errors.New("--instance-id and --compose-hash are for VMs, not for --server")
	case !f.server && len(f.names) > 0:
		return ratls.Request{}, errors.New("--name needs --server")
	}
	app, err := ratls.ParseAppID(f.app)
	if err != nil {
		return ratls.Request{}, fmt.Errorf("--app-id: %w", err)
	}
	r := ratls.Request{AppID: app}
	if f.daysSet {
		r.NotAfter = time.Now().AddDate(0, 0, f.days)
	}
	if f.server { // as dstack's agent asks for a gateway's certificate
		r.Subject, r.Names, r.Server = "dstack-gateway", f.names, true
		return r, nil
	}
	r.Subject, r.Client = "dstack-guest-agent", true
	r.AppInfo, err = f.appInfo(app)
	return r, err
}

func (f issueFlags) appInfo(app ratls.AppID) (*ratls.AppInfo, error) {
	info := &ratls.AppInfo{
		AppID:    app,
		DeviceID: sha256.Sum256(nil), // what a KMS writes for every device
	}
	_, err := rand.Read(info.InstanceID[:])
	if f.instanceSet {
		info.InstanceID, err = ratls.ParseInstanceID(f.instance)
	}
	if err != nil {
		return nil, fmt.Errorf("--instance-id: %w", err)
	}
	if f.composeSet {
		if info.ComposeHash, err = ratls.ParseHash(f.compose); err != nil {
			return nil, fmt.Errorf("--compose-hash: %w", err)
		}
	}
	return info, nil
}

// issue writes the files of a certificate of the authority in dir.
func issue(out io.Writer, dir, name string, r ratls.Request) error {
	ca, err := ratls.LoadAuthority(dir)
	if errors.Is(err, ratls.ErrNoAuthority) {
		return fmt.Errorf("%w: make one with gateway pki init --dir %s", err, dir)
	}
	if err != nil {
		return err
	}
	cert, err := ca.Issue(r)
	if err != nil {
		return err
	}
	if err := ratls.WriteFiles(cert, name+".pem", name+".key"); err != nil {
		return err
	}
	fmt.Fprintf(out, "%s.pem, %s.key: valid until %s\napp_id %s\n", name, name, day(cert.Leaf.NotAfter), r.AppID)
	if r.AppInfo != nil {
		fmt.Fprintf(out, "instance_id %s\n", r.AppInfo.InstanceID)
	}
	return nil
}
