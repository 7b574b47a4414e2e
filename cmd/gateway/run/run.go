// Package run is the command run: it makes the gateway that a configuration asks for, and
// serves. With it is the command check, which reports beforehand whether that would work.
//
//	run.go      the gateway, and its signals
//	systemd.go  the watchdog of systemd
//	check.go    the command check
package run

import (
	"context"
	"log/slog"
	"syscall"

	"github.com/spf13/cobra"

	"sallyport/cmd/gateway/cli"
	"sallyport/config"
	"sallyport/gateway"
)

// New returns the command.
func New() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "run --config FILE",
		Short: "Run the gateway",
		Long: `run serves until SIGINT or SIGTERM. It then refuses new connections, and open ones have
[proxy.timeouts] drain to end. A second signal ends them at once, and the process within
ten seconds.

SIGHUP reads the certificates again, and from the file the domains (except those with
ratls), [proxy] upstream_ratls and proxy_tlvs, and the policy of [attestation]. If the
file has an error, the current configuration stays in use. SIGUSR1 turns debug logging
on and off.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := cli.LoadConfig(cmd.ErrOrStderr(), file)
			if err != nil {
				return err
			}
			log, level, flush := cli.NewLogger(cmd.ErrOrStderr(), cfg.Log)
			defer flush()
			cli.LogForLong(log)
			notifySystemd(log)
			return run(cmd.Context(), file, cfg, log, level)
		},
	}
	cli.ConfigFlag(cmd, &file)
	return cmd
}

// run makes a gateway and serves until a signal. cfg is what file says.
func run(ctx context.Context, file string, cfg *config.Config, log *slog.Logger, level *slog.LevelVar) error {
	defer cli.TuneRuntime(cfg.Proxy.Loops)()
	g, err := gateway.New(ctx, cfg, log)
	if err != nil {
		return err
	}
	defer cli.OnSignal(func() {
		g.Reload()
		g.ReloadConfig(file)
	}, syscall.SIGHUP)()
	defer cli.OnSignal(func() { cli.ToggleDebug(log, level, cfg.Log.Level) }, syscall.SIGUSR1)()
	ctx, stop := cli.UntilSignal(ctx, func() { abort(g, log) })
	defer stop()
	return g.Run(ctx)
}

// abort ends every connection at once, and the process soon, even if a part of the gateway
// does not stop.
func abort(g *gateway.Gateway, log *slog.Logger) {
	cli.EndSoon(log)
	g.Abort()
}
