package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"sallyport/cmd/gateway/cli"
	"sallyport/config"
	"sallyport/guest"
	"sallyport/internal/certfile"
	"sallyport/internal/vm"
	"sallyport/ratls"
	"sallyport/rpc"
	"sallyport/wg"
	"sallyport/wg/hold"
)

// joinFlags are the command line of join.
type joinFlags struct {
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

func newJoin() *cobra.Command {
	var f joinFlags
	cmd := &cobra.Command{
		Use:   "join --url URL --cert FILE --key FILE --ca FILE",
		Short: "Join this machine to a gateway",
		Long: `join is the guest's side, for a machine without the dstack agent: it makes a
WireGuard key, registers with the first gateway that takes it, sets the tunnel up,
and keeps both fresh until Ctrl-C; a second one ends it in ten seconds. It registers every 3 minutes, and makes the
tunnel anew when it has been silent for as long.

Certificate and key are what gateway pki issue makes, or a KMS. The gateway is
checked against --ca and, with --gateway-app-id, its app id.

	gateway join --url https://gw.example.com:8000 --cert vm.pem --key vm.key --ca ca.pem

Without root, the tunnel ends in this process and reaches only what is forwarded:

	gateway join … --mode netstack --forward 127.0.0.1:8080

--forward PORT=HOST:PORT takes another port in the tunnel. --port 80 --port 443
opens only those ports to the gateway's clients (--port 80,proxy: with a PROXY
header); without --port all are open.`,
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
	flags := cmd.Flags()
	flags.StringArrayVar(&f.urls, "url", nil, "a gateway's [rpc] address, https://host:port; may be repeated, tried in order")
	flags.StringVar(&f.cert, "cert", "", "this machine's certificate and its chain, PEM")
	flags.StringVar(&f.key, "key", "", "its private key, PEM")
	flags.StringVar(&f.ca, "ca", "", "the root certificate that gateways' certificates lead to, PEM")
	flags.StringVar(&f.gatewayApp, "gateway-app-id", "", "the app id that the gateway's certificate must have; default: any that --ca has issued")
	flags.StringVar(&f.state, "state", "/var/lib/gateway-join", "directory for the WireGuard key")
	flags.StringVar(&f.mode, "mode", string(wg.ModeAuto), "auto, kernel, userspace or netstack")
	flags.StringVar(&f.iface, "interface", "wg-guest", "name of the tunnel's interface")
	flags.IntVar(&f.mtu, "mtu", 1420, "of the tunnel")
	flags.StringArrayVar(&f.forwards, "forward", nil, "HOST:PORT or TUNNELPORT=HOST:PORT, with --mode netstack; may be repeated")
	flags.StringArrayVar(&f.ports, "port", nil, "PORT or PORT,proxy: open only these; may be repeated")
	flags.BoolVar(&f.debug, "debug", false, "log more")
	return cmd
}

// join registers the machine and serves until ctx is done.
func join(ctx context.Context, f joinFlags, log *slog.Logger) error {
	policy, forwards, err := f.check()
	if err != nil {
		return cli.Usage(err)
	}
	clients, err := f.clients()
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
	tunnel := &guestTunnel{
		opts:  wg.Options{Mode: wg.Mode(f.mode), Guest: true, Interface: f.iface, PrivateKey: key, MTU: f.mtu, Log: log},
		serve: func(ctx context.Context, d *wg.Device) error { return forward(ctx, d, forwards, log) },
	}
	registration := rpc.Registration{Key: key.Public(), Policy: policy}
	agent := guest.Agent{
		Register: func(ctx context.Context) (guest.Grant, error) { return registerAt(ctx, clients, registration) },
		Tunnel:   tunnel,
		Log:      log,
	}
	parts, ctx := errgroup.WithContext(ctx)
	parts.Go(func() error { return agent.Run(ctx) })
	return errors.Join(parts.Wait(), tunnel.close(), lock.Close())
}

// check refuses what cannot work before anything is begun.
func (f joinFlags) check() (policy vm.PortPolicy, forwards []forwarding, err error) {
	switch {
	case len(f.urls) == 0 || f.cert == "" || f.key == "" || f.ca == "":
		return policy, nil, errors.New("--url, --cert, --key and --ca are needed")
	case !slices.Contains([]wg.Mode{wg.ModeAuto, wg.ModeKernel, wg.ModeUserspace, wg.ModeNetstack}, wg.Mode(f.mode)):
		return policy, nil, fmt.Errorf("--mode %q: want auto, kernel, userspace or netstack", f.mode)
	case len(f.forwards) > 0 && wg.Mode(f.mode) != wg.ModeNetstack:
		return policy, nil, errors.New("--forward needs --mode netstack: else the tunnel reaches this machine's own ports")
	case len(f.forwards) == 0 && wg.Mode(f.mode) == wg.ModeNetstack:
		return policy, nil, errors.New("--mode netstack needs --forward: nothing else could be reached")
	}
	if policy, err = parsePorts(f.ports); err != nil {
		return policy, nil, err
	}
	for _, s := range f.forwards {
		fw, err := parseForwarding(s)
		if err != nil {
			return policy, nil, err
		}
		forwards = append(forwards, fw)
	}
	return policy, forwards, nil
}

// parsePorts makes the port policy that --port asks for.
func parsePorts(list []string) (vm.PortPolicy, error) {
	if len(list) == 0 {
		return vm.OpenPolicy(), nil
	}
	var rules []vm.PortRule
	for _, s := range list {
		number, option, _ := strings.Cut(s, ",")
		port, err := parsePort(number)
		if err != nil || option != "" && option != "proxy" {
			return vm.PortPolicy{}, fmt.Errorf("--port %q: want PORT or PORT,proxy", s)
		}
		rules = append(rules, vm.PortRule{Port: port, Proxy: option == "proxy"})
	}
	return vm.NewPortPolicy(true, rules)
}

// clients are one for each gateway.
func (f joinFlags) clients() ([]*rpc.Client, error) {
	pair, err := certfile.ReadPair(f.cert, f.key)
	if err != nil {
		return nil, fmt.Errorf("--cert, --key: %w", err)
	}
	roots, err := certfile.ReadRoots(f.ca)
	if err != nil {
		return nil, fmt.Errorf("--ca: %w", err)
	}
	var list []*rpc.Client
	for _, url := range f.urls {
		list = append(list, &rpc.Client{URL: url, Certificate: pair, Roots: roots, CheckServer: f.checkServer})
	}
	return list, nil
}

// checkServer wants a gateway: a certificate with an app id, the right one if
// one was asked for.
func (f joinFlags) checkServer(leaf *x509.Certificate) error {
	ext, err := ratls.ParseExtensions(leaf.Extensions)
	switch {
	case err != nil:
		return err
	case ext.AppID.IsZero():
		return errors.New("the server's certificate has no app id: it is no gateway's")
	case f.gatewayApp != "" && !strings.EqualFold(f.gatewayApp, ext.AppID.String()):
		return fmt.Errorf("the server's app id is %s, want %s", ext.AppID, f.gatewayApp)
	}
	return nil
}

// registerAt asks the gateways in order. If all fail the first error is told, as guests do:
// it is that of the gateway that ought to answer.
func registerAt(ctx context.Context, clients []*rpc.Client, r rpc.Registration) (guest.Grant, error) {
	var first error
	for _, c := range clients {
		answer, err := c.Register(ctx, r)
		if err == nil {
			var servers []guest.Server
			for _, n := range answer.Servers {
				servers = append(servers, guest.Server{Key: n.Key, Address: n.Address, Endpoint: n.Endpoint})
			}
			return guest.NewGrant(answer.Address, servers)
		}
		if first == nil {
			first = err
		}
	}
	return guest.Grant{}, first
}
