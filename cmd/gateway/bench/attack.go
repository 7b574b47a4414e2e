package bench

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/spf13/cobra"

	"sallyport/bench/attack"
	"sallyport/cmd/gateway/cli"
)

// otherFlags are those of bench load that are of no use to an attack.
var otherFlags = []string{"curve", "ca", "resume", "nagle", "bulk-connections", "size", "reply-size", "interval", "warmup", "threads", "cpu", "pid"}

// isAttack reports whether the workload is one of the attacks.
func (f *loadFlags) isAttack() bool {
	return slices.Contains(attack.Forms[:], attack.Form(f.workload))
}

// attackOptions makes options of an attack of the flags, and checks them.
func (f *loadFlags) attackOptions(cmd *cobra.Command) (o attack.Options, err error) {
	for _, name := range otherFlags {
		if cmd.Flags().Changed(name) {
			return o, fmt.Errorf("--%s: attack %s has no use for it", name, f.workload)
		}
	}
	if f.TLS != 0 && f.TLS != tls.VersionTLS13 {
		return o, errors.New("tls: an attack speaks 1.3")
	}
	o = attack.Options{
		ServerName: f.ServerName, Form: attack.Form(f.workload), TLS: f.TLS != 0, Connections: f.Connections,
		Rate: f.Rate, BulkRate: f.BulkRate, Burst: f.burst, Duration: f.Duration,
	}
	if o.Target, err = netip.ParseAddrPort(f.Target); err != nil {
		return o, fmt.Errorf("target of an attack: want IP:port: %w", err)
	}
	if f.source != "" {
		if o.Source, err = netip.ParseAddr(f.source); err != nil {
			return o, fmt.Errorf("source: %w", err)
		}
	}
	return o, o.Check()
}

func runAttack(cmd *cobra.Command, o attack.Options, asJSON bool) error {
	ctx, giveUp := context.WithCancel(cmd.Context())
	defer giveUp()
	enough, stop := cli.UntilSignal(ctx, giveUp)
	defer stop()
	o.Stop = enough.Done()
	result, err := attack.Run(ctx, o)
	if err != nil {
		return err
	}
	if err := writeResult(cmd.OutOrStdout(), result, asJSON); err != nil {
		return err
	}
	if result.Opened == 0 {
		return fmt.Errorf("%s: not one connection was made: %s", o.Target, result.FirstError)
	}
	return nil
}
