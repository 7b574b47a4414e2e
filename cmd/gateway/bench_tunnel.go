package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"time"

	"github.com/spf13/cobra"

	"sallyport/bench/backend"
	"sallyport/bench/tunnel"
	"sallyport/cmd/gateway/cli"
	"sallyport/internal/buildinfo"
	"sallyport/internal/vm"
	"sallyport/wg"
)

func newBenchTunnel() *cobra.Command {
	o := tunnel.Options{Version: buildinfo.Version(), CVM: cvmArguments, Certify: certifyCrowd, Crowd: crowdArguments}
	var out string
	cmd := &cobra.Command{
		Use:   "tunnel",
		Short: "Measure what the gateway adds to its tunnel",
		Long: `tunnel puts a gateway and a CVM into network namespaces of their own, with
wireguard-go between them, and measures the same load through the gateway and straight
into the tunnel of the same process; and requests beside 200 registrations of new
machines a second, 10,000 in all. It needs root and takes two minutes.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.Rounds < 1 || o.Rounds > 1000 || o.Duration <= 0 || o.Duration > time.Hour {
				return cli.Usage(errors.New("rounds and duration: want 1 to 1000, and up to 1h"))
			}
			return runBenchTunnel(cmd, o, out)
		},
	}
	flags := cmd.Flags()
	flags.IntVar(&o.Rounds, "rounds", 5, "rounds, each with every way once")
	flags.DurationVar(&o.Duration, "duration", 4*time.Second, "how long to measure one way in a round")
	flags.IntVar(&o.GatewayCPU, "proxy-cpu", 1, "the CPU of the gateway and its tunnel")
	flags.IntVar(&o.LoadCPU, "load-cpu", 0, "the CPU of the load and the CVM")
	flags.StringVar(&out, "out", "", "write tunnel.json and .md to this directory")
	return cmd
}

func runBenchTunnel(cmd *cobra.Command, o tunnel.Options, out string) (err error) {
	if o.Gateway, err = os.Executable(); err != nil {
		return err
	}
	o.Progress = func(line string) { fmt.Fprintln(cmd.ErrOrStderr(), line) }
	ctx, stop := cli.UntilSignal(cmd.Context(), func() {})
	defer stop()
	results, err := tunnel.Run(ctx, o)
	if err != nil {
		return err
	}
	results.Command = "gateway bench tunnel" + told(cmd)
	results.WriteMarkdown(cmd.OutOrStdout())
	if out == "" {
		return nil
	}
	return writeResults(out, "tunnel", results)
}

// cvmArguments are those of newBenchCVM.
func cvmArguments(c tunnel.CVM) []string {
	return []string{
		"bench", "cvm", "--key=" + c.KeyFile, "--gateway-key=" + c.Gateway, "--endpoint=" + c.Endpoint,
		"--address=" + c.Address, "--listen=" + c.Listen,
	}
}

// crowdArguments are those of newBenchCrowd.
func crowdArguments(c tunnel.Crowd) []string {
	return []string{"bench", "crowd", "--dir=" + c.Dir, "--url=" + c.URL, fmt.Sprintf("--rate=%v", c.Rate)}
}

// newBenchCVM is the process that bench tunnel starts as its CVM.
func newBenchCVM() *cobra.Command {
	var keyFile, gatewayKey, endpoint, address, listen string
	cmd := &cobra.Command{
		Use: "cvm", Short: "Be the CVM of bench tunnel", Hidden: true, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := cli.UntilSignal(cmd.Context(), func() {})
			defer stop()
			key, err := wg.LoadOrCreateKey(keyFile)
			if err != nil {
				return err
			}
			var peer wg.Peer
			network, err1 := netip.ParsePrefix(address)
			at, err2 := netip.ParseAddrPort(listen)
			var err3, err4 error
			peer.Endpoint, err3 = netip.ParseAddrPort(endpoint)
			peer.Key, err4 = vm.ParseWGKey(gatewayKey)
			if err := errors.Join(err1, err2, err3, err4); err != nil {
				return cli.Usage(err)
			}
			peer.Address = network.Masked().Addr().Next() // the gateway is the first in its network
			return serveCVM(ctx, wg.Options{
				Mode: wg.ModeUserspace, Interface: "wg-cvm", PrivateKey: key, Address: network, Guest: true,
				Log: slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil)),
			}, peer, at)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&keyFile, "key", "", "file of the private key")
	flags.StringVar(&gatewayKey, "gateway-key", "", "the gateway's public key")
	flags.StringVar(&endpoint, "endpoint", "", "where the gateway's tunnel listens, IP:port")
	flags.StringVar(&address, "address", "", "address in the tunnel, with its network")
	flags.StringVar(&listen, "listen", "", "where to serve, IP:port")
	return cmd
}

// serveCVM opens the tunnel and serves in it until ctx ends.
func serveCVM(ctx context.Context, o wg.Options, gateway wg.Peer, at netip.AddrPort) (err error) {
	device, err := wg.Open(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, device.Close()) }()
	if err := device.SetPeer(ctx, gateway); err != nil {
		return err
	}
	server, err := backend.Listen(at)
	if err != nil {
		return err
	}
	return server.Run(ctx, -1)
}
