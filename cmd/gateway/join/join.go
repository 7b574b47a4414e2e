// Package join is the command join: this VM becomes a guest of a gateway, without
// the dstack agent. Package guest decides; this package reads the command line.
package join

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"sallyport/cmd/gateway/cli"
	"sallyport/cmd/gateway/cli/asguest"
	"sallyport/config"
	"sallyport/guest"
	"sallyport/internal/certfile"
	"sallyport/internal/oneline"
	"sallyport/internal/vm"
	"sallyport/ratls"
	"sallyport/rpc"
	"sallyport/wg"
	"sallyport/wg/hold"
)

// flags are the command line.
type flags struct {
	urls       []string
	cert, key  string
	ca         string
	gatewayApp string
	state      string
	mode       string
	iface      string
	mtu        int
	forwards   []string
	ports      []string
	debug      bool
}

// New returns the command.
func New() *cobra.Command {
	var f flags
	cmd := &cobra.Command{
		Use:   "join --url URL --cert FILE --key FILE --ca FILE",
		Short: "Join this VM to a gateway",
		Long: `join is the guest's side, for a VM without the dstack agent. It creates a WireGuard key,
registers with the first gateway that accepts it, sets the tunnel up, and keeps both
working until Ctrl-C; a second Ctrl-C ends it within ten seconds. It registers every 3
minutes, and makes a new tunnel after 3 minutes without a handshake.

The certificate and its key come from gateway pki issue or from a KMS. join checks the
gateway's certificate against --ca and, with --gateway-app-id, its app id.

	gateway join --url https://gw.example.com:8000 --cert vm.pem --key vm.key --ca ca.pem

Without root, the tunnel ends in this process, and clients reach only forwarded ports:

	gateway join … --mode netstack --forward 127.0.0.1:8080

--forward PORT=HOST:PORT uses another port in the tunnel. --port 80 --port 443 opens only
those ports to clients (--port 80,proxy: with a PROXY header). Without --port, all are
open.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			level := slog.LevelInfo
			if f.debug {
				level = slog.LevelDebug
			}
			log, _, flush := cli.NewLogger(cmd.ErrOrStderr(), config.Log{Level: level})
			defer flush()
			cli.LogForLong(log)
			ctx, stop := cli.UntilSignal(cmd.Context(), func() { cli.EndSoon(log) })
			defer stop()
			return join(ctx, f, log)
		},
	}
	set := cmd.Flags()
	set.StringArrayVar(&f.urls, "url", nil, "[rpc] address of a gateway, https://host:port; may be repeated, and is tried in order")
	set.StringVar(&f.cert, "cert", "", "this VM's certificate and its chain, PEM")
	set.StringVar(&f.key, "key", "", "private key of the certificate, PEM")
	set.StringVar(&f.ca, "ca", "", "root certificate of the gateways' certificates, PEM")
	set.StringVar(&f.gatewayApp, "gateway-app-id", "", "app id that the gateway's certificate must have (default: any issued by --ca)")
	set.StringVar(&f.state, "state", "/var/lib/gateway-join", "directory for the WireGuard key")
	set.StringVar(&f.mode, "mode", string(wg.ModeAuto), "auto, kernel, userspace or netstack")
	set.StringVar(&f.iface, "interface", "wg-guest", "name of the tunnel's interface")
	set.IntVar(&f.mtu, "mtu", 1420, "MTU of the tunnel")
	set.StringArrayVar(&f.forwards, "forward", nil, "HOST:PORT or TUNNELPORT=HOST:PORT, with --mode netstack; may be repeated")
	set.StringArrayVar(&f.ports, "port", nil, "PORT or PORT,proxy: open only these; may be repeated")
	set.BoolVar(&f.debug, "debug", false, "log at debug level")
	return cmd
}

// join registers this VM and serves until ctx is done.
func join(ctx context.Context, f flags, log *slog.Logger) error {
	asked, err := f.check()
	if err != nil {
		return cli.Usage(err)
	}
	gateways, err := f.gateways(asked.gateway)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(f.state, 0o700); err != nil {
		return err
	}
	keyFile := filepath.Join(f.state, "wireguard.key")
	key, err := wg.LoadOrCreateKey(keyFile)
	if err != nil {
		return err
	}
	lock, err := hold.Key(keyFile, log)
	if err != nil {
		return err
	}
	err = asguest.Run(ctx, asguest.Options{
		Gateways: gateways,
		Policy:   asked.policy,
		Tunnel:   wg.Options{Mode: wg.Mode(f.mode), Interface: f.iface, PrivateKey: key, MTU: f.mtu},
		Serve:    func(ctx context.Context, d guest.Device) error { return guest.Forward(ctx, d, asked.forwards, log) },
		Log:      log,
	})
	if err = oneline.Join(err, lock.Close()); err == nil {
		log.Info("stopped")
	}
	return err
}

// request is what the flags ask for.
type request struct {
	gateway  ratls.AppID // zero: any
	policy   vm.PortPolicy
	forwards []guest.Forwarding
}

// check refuses what cannot work before anything is begun.
func (f flags) check() (r request, err error) {
	switch {
	case len(f.urls) == 0 || f.cert == "" || f.key == "" || f.ca == "":
		return r, errors.New("--url, --cert, --key and --ca are needed")
	case !slices.Contains([]wg.Mode{wg.ModeAuto, wg.ModeKernel, wg.ModeUserspace, wg.ModeNetstack}, wg.Mode(f.mode)):
		return r, fmt.Errorf("--mode %q: want auto, kernel, userspace or netstack", f.mode)
	case len(f.forwards) > 0 && wg.Mode(f.mode) != wg.ModeNetstack:
		return r, errors.New("--forward needs --mode netstack: in other modes the tunnel reaches the VM's own ports")
	case len(f.forwards) == 0 && wg.Mode(f.mode) == wg.ModeNetstack:
		return r, errors.New("--mode netstack needs --forward: nothing else could be reached")
	}
	for _, url := range f.urls {
		if err := rpc.CheckURL(url); err != nil {
			return r, fmt.Errorf("--url %q: %w", url, err)
		}
	}
	if err := wg.CheckInterface(f.iface); err != nil {
		return r, fmt.Errorf("--interface: %w", err)
	}
	if err := wg.CheckMTU(f.mtu); err != nil {
		return r, fmt.Errorf("--mtu: %w", err)
	}
	if f.gatewayApp != "" {
		if r.gateway, err = ratls.ParseAppID(f.gatewayApp); err != nil {
			return r, fmt.Errorf("--gateway-app-id: %w", err)
		}
	}
	if r.policy, err = parsePorts(f.ports); err != nil {
		return r, err
	}
	for _, text := range f.forwards {
		forwarding, err := guest.ParseForwarding(text)
		if err != nil {
			return r, fmt.Errorf("--forward %w", err)
		}
		r.forwards = append(r.forwards, forwarding)
	}
	return r, nil
}

// parsePorts makes the port policy that --port asks for.
func parsePorts(list []string) (vm.PortPolicy, error) {
	if len(list) == 0 {
		return vm.OpenPolicy(), nil
	}
	var rules []vm.PortRule
	for _, s := range list {
		number, option, _ := strings.Cut(s, ",")
		port, err := strconv.ParseUint(number, 10, 16)
		if err != nil || port == 0 || option != "" && option != "proxy" {
			return vm.PortPolicy{}, fmt.Errorf("--port %q: want PORT or PORT,proxy", s)
		}
		rules = append(rules, vm.PortRule{Port: uint16(port), Proxy: option == "proxy"})
	}
	return vm.NewPortPolicy(true, rules)
}

// gateways returns a client for each gateway, whose app id must be app unless that is zero.
func (f flags) gateways(app ratls.AppID) ([]*rpc.Client, error) {
	pair, err := certfile.ReadPair(f.cert, f.key)
	if err != nil {
		return nil, fmt.Errorf("--cert, --key: %w", err)
	}
	roots, err := certfile.ReadRoots(f.ca)
	if err != nil {
		return nil, fmt.Errorf("--ca: %w", err)
	}
	check := func(leaf *x509.Certificate) error { return ratls.CheckApp(leaf, app) }
	var list []*rpc.Client
	for _, url := range f.urls {
		list = append(list, &rpc.Client{URL: url, Certificate: pair, Roots: roots, CheckServer: check})
	}
	return list, nil
}
