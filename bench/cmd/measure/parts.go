package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"runtime"

	"github.com/spf13/cobra"

	"sallyport/bench/attack"
	"sallyport/bench/backend"
	"sallyport/bench/load"
	"sallyport/bench/tunnel"
	"sallyport/internal/oneline"
	"sallyport/internal/vm"
	"sallyport/wg"
)

// newPart makes the command that is a part of a measurement (trial.Part): its only
// argument is its options as JSON.
func newPart[T any](name string, run func(*cobra.Command, T) error) *cobra.Command {
	return &cobra.Command{
		Use: name, Short: "A part of a measurement, started by this program", Hidden: true, Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var options T
			if err := json.Unmarshal([]byte(args[0]), &options); err != nil {
				return usageError{fmt.Errorf("options of %s: %w", name, err)}
			}
			return run(cmd, options)
		},
	}
}

// newAttackPart is the attacker of hostile. It prints what it has done when it is ended.
func newAttackPart() *cobra.Command {
	return newPart("attack", func(cmd *cobra.Command, o attack.Options) error {
		o.Stop = cmd.Context().Done()
		result, err := attack.Run(context.WithoutCancel(cmd.Context()), o)
		if err != nil {
			return err
		}
		return json.NewEncoder(cmd.OutOrStdout()).Encode(result)
	})
}

// newLoadPart is the generator of tunnel. It prints what it has measured.
func newLoadPart() *cobra.Command {
	return newPart("load", func(cmd *cobra.Command, o load.Options) error {
		// A loop that comes back from the kernel must not wait for the collector's P.
		runtime.GOMAXPROCS(max(runtime.GOMAXPROCS(0), o.Threads+1))
		result, err := load.Run(cmd.Context(), o)
		if err != nil {
			return err
		}
		if result.Empty() {
			return fmt.Errorf("%s: not one operation ended", o.Target)
		}
		return json.NewEncoder(cmd.OutOrStdout()).Encode(result)
	})
}

// newCVMPart is the CVM of tunnel.
func newCVMPart() *cobra.Command {
	return newPart("cvm", func(cmd *cobra.Command, c tunnel.CVM) error {
		if !c.Address.IsValid() || !c.Endpoint.IsValid() || !c.Listen.IsValid() {
			return usageError{errors.New("cvm: an address, an endpoint and where to listen are needed")}
		}
		key, err := wg.LoadOrCreateKey(c.KeyFile)
		if err != nil {
			return err
		}
		gateway := wg.Peer{Endpoint: c.Endpoint, Address: c.Address.Masked().Addr().Next()} // the first in its network
		if gateway.Key, err = vm.ParseWGKey(c.Gateway); err != nil {
			return usageError{err}
		}
		return serveCVM(cmd.Context(), wg.Options{
			Mode: wg.ModeUserspace, Interface: "wg-cvm", PrivateKey: key, Address: c.Address, Guest: true,
			Log: slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil)),
		}, gateway, c.Listen)
	})
}

// serveCVM opens the tunnel and serves in it until ctx ends.
func serveCVM(ctx context.Context, o wg.Options, gateway wg.Peer, at netip.AddrPort) (err error) {
	device, err := wg.Open(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = oneline.Join(err, device.Close()) }()
	if err := device.SetPeer(ctx, gateway); err != nil {
		return err
	}
	server, err := backend.Listen(at)
	if err != nil {
		return err
	}
	return server.Run(ctx, -1)
}
