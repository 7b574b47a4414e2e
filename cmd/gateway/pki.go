package main

import (
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"sallyport/cmd/gateway/cli"
	"sallyport/internal/certfile"
	"sallyport/ratls"
)

// The files of an authority.
const (
	authorityCert = "ca.pem"
	authorityKey  = "ca.key"
)

func newPKI() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "pki",
		Short: "Issue certificates where there is no KMS",
		Long: `pki is a small certificate authority that issues what a dstack KMS would: for
machines that join without dstack, for tests, and for the gateway's own [rpc]
certificate. It asks for no attestation: who can read its key decides who an
app's machines are.

	gateway pki init --dir /etc/gateway/pki`,
		Args: cli.UsageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			_ = cmd.Help()
			return cli.Usage(errors.New("pki: init or issue is needed"))
		},
	}
	cmd.AddCommand(newPKIInit(), newPKIIssue())
	return cmd
}

func newPKIInit() *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:   "init --dir DIR",
		Short: "Make an authority",
		Long: `init makes an authority, valid for 10 years: DIR/ca.pem, which gateways trust
as [rpc] client_ca and machines as their gateway's CA, and DIR/ca.key, which
nobody else may read. It overwrites neither.

	gateway pki init --dir /etc/gateway/pki`,
		Args: cli.UsageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if dir == "" {
				return cli.Usage(errors.New("pki init: --dir is needed"))
			}
			return initPKI(cmd.OutOrStdout(), dir)
		},
	}
	cmd.Flags().StringVar(&dir, "dir", "", "directory of the authority, made if missing")
	return cmd
}

func initPKI(out io.Writer, dir string) error {
	ca, err := ratls.NewAuthority()
	if err != nil {
		return err
	}
	cert, key, err := ca.EncodePEM()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	certFile, keyFile := filepath.Join(dir, authorityCert), filepath.Join(dir, authorityKey)
	if err := writePair(certFile, cert, keyFile, key); err != nil {
		return err
	}
	fmt.Fprintf(out, "%s: valid until %s\n%s: keep it secret\n", certFile, day(ca.Root().NotAfter), keyFile)
	return nil
}

const maxDays = 3660 // no authority lives longer

// issueFlags are what a certificate is asked to say.
type issueFlags struct {
	dir, out                string
	app, instance, compose  string
	server                  bool
	names                   []string
	days                    int
	instanceSet, composeSet bool
}

func newPKIIssue() *cobra.Command {
	var f issueFlags
	cmd := &cobra.Command{
		Use:   "issue --dir DIR --app-id ID --out NAME",
		Short: "Issue a certificate for a machine, or for the gateway's own API",
		Long: `issue makes a key and a certificate and writes NAME.pem (certificate, app CA,
root) and NAME.key. It overwrites neither.

For a machine of an app. An instance id that is not given is made up; a machine
keeps its own when it is given again:

	gateway pki issue --dir /etc/gateway/pki --out vm1 \
	    --app-id deadbeef111111111111111111111111deadbeef

For the gateway's API ([rpc] cert and key), under the names by which machines
reach it. The app id is the one that dstack guests know as gateway_app_id:

	gateway pki issue --dir /etc/gateway/pki --out rpc --server \
	    --name gw.example.com --app-id 6a7e111111111111111111111111111111111111`,
		Args: cli.UsageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			f.instanceSet, f.composeSet = cmd.Flags().Changed("instance-id"), cmd.Flags().Changed("compose-hash")
			request, err := f.request()
			if err != nil {
				return cli.Usage(fmt.Errorf("pki issue: %w", err))
			}
			return issuePKI(cmd.OutOrStdout(), f.dir, f.out, request)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.dir, "dir", "", "directory of the authority")
	flags.StringVar(&f.out, "out", "", "path of the files, without .pem and .key")
	flags.StringVar(&f.app, "app-id", "", "app, 40 hex digits")
	flags.StringVar(&f.instance, "instance-id", "", "machine, 40 hex digits (default: a new one)")
	flags.StringVar(&f.compose, "compose-hash", "", "SHA-256 of the app's compose file, 64 hex digits (default: none)")
	flags.BoolVar(&f.server, "server", false, "for the gateway's API instead of a machine")
	flags.StringArrayVar(&f.names, "name", nil, "with --server: host name or IP address; may be repeated")
	flags.IntVar(&f.days, "days", 0, "validity (default: as long as the authority's)")
	return cmd
}

// request checks the flags.
func (f issueFlags) request() (ratls.Request, error) {
	switch {
	case f.dir == "" || f.out == "" || f.app == "":
		return ratls.Request{}, errors.New("--dir, --out and --app-id are needed")
	case f.days < 0 || f.days > maxDays:
		return ratls.Request{}, fmt.Errorf("--days: want 1 to %d", maxDays)
	case f.server && len(f.names) == 0:
		return ratls.Request{}, errors.New("--server needs --name: machines check it")
	case f.server && (f.instanceSet || f.composeSet):
		return ratls.Request{}, errors.New("--instance-id and --compose-hash are of machines, not of a --server")
	case !f.server && len(f.names) > 0:
		return ratls.Request{}, errors.New("--name is of a --server")
	}
	app, err := ratls.ParseAppID(f.app)
	if err != nil {
		return ratls.Request{}, fmt.Errorf("--app-id: %w", err)
	}
	r := ratls.Request{AppID: app}
	if f.days > 0 {
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

func issuePKI(out io.Writer, dir, name string, r ratls.Request) error {
	ca, err := loadPKI(dir)
	if err != nil {
		return err
	}
	cert, err := ca.Issue(r)
	if err != nil {
		return err
	}
	chain, key, err := ratls.EncodePEM(cert)
	if err != nil {
		return err
	}
	if err := writePair(name+".pem", chain, name+".key", key); err != nil {
		return err
	}
	fmt.Fprintf(out, "%s.pem, %s.key: valid until %s\napp_id %s\n", name, name, day(cert.Leaf.NotAfter), r.AppID)
	if r.AppInfo != nil {
		fmt.Fprintf(out, "instance_id %s\n", r.AppInfo.InstanceID)
	}
	return nil
}

func loadPKI(dir string) (*ratls.Authority, error) {
	cert, _, err := certfile.Read(filepath.Join(dir, authorityCert))
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("no authority in %s: make one with gateway pki init --dir %s", dir, dir)
		}
		return nil, err
	}
	keyFile := filepath.Join(dir, authorityKey)
	key, mode, err := certfile.Read(keyFile)
	if err != nil {
		return nil, err
	}
	if perm := mode.Perm(); perm&0o077 != 0 {
		return nil, fmt.Errorf("%s is open to others (mode %04o): run chmod 600 on it, and make a new authority if others may have read it", keyFile, perm)
	}
	ca, err := ratls.ParseAuthority(cert, key)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	return ca, nil
}

// writePair writes a certificate and its key, both or neither, over nothing
// that is there. The key is readable by its owner alone.
func writePair(certFile string, cert []byte, keyFile string, key []byte) error {
	if err := writeNew(keyFile, key, 0o600); err != nil {
		return err
	}
	if err := writeNew(certFile, cert, 0o644); err != nil {
		_ = os.Remove(keyFile)
		return err
	}
	return nil
}

func writeNew(file string, data []byte, mode fs.FileMode) error {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s is there already: remove it, or choose another place", file)
	}
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		_ = os.Remove(file)
		return err
	}
	return nil
}

func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }
