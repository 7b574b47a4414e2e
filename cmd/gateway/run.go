package main

import (
	"context"
	"log/slog"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"

	"sallyport/cmd/gateway/cli"
	"sallyport/config"
	"sallyport/internal/cpuquota"
)

func newRun() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "run --config FILE",
		Short: "Run the gateway",
		Long: `run serves until SIGINT or SIGTERM, then refuses new connections and lets the
open ones end for [proxy.timeouts] drain; a second signal ends them at once, and
the process in ten seconds whatever its parts do.
SIGHUP reads anew: the certificates; and of the file, the domains (but for ratls),
[proxy] upstream_ratls and proxy_tlvs, and the policy of [attestation]. SIGUSR1 switches debug logging on and off.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := cli.LoadConfig(cmd.ErrOrStderr(), file)
			if err != nil {
				return err
			}
			log, level, flush := cli.NewLogger(cmd.ErrOrStderr(), cfg.Log)
			defer flush()
			cli.LogForLong(log)
			tellSystemd(log)
			return run(cmd.Context(), file, cfg, log, level)
		},
	}
	cli.ConfigFlag(cmd, &file)
	return cmd
}

// run makes a gateway and serves until a signal. cfg is what file says.
func run(ctx context.Context, file string, cfg *config.Config, log *slog.Logger, level *slog.LevelVar) error {
	defer tuneRuntime(cfg.Proxy.Loops)()
	g, err := newGateway(ctx, cfg, log)
	if err != nil {
		return err
	}
	defer cli.OnSignal(func() {
		g.reload()
		g.reloadConfig(file)
	}, syscall.SIGHUP)()
	defer cli.OnSignal(func() { cli.ToggleDebug(log, level, cfg.Log.Level) }, syscall.SIGUSR1)()
	ctx, stop := cli.UntilSignal(ctx, g.abort)
	defer stop()
	return g.serve(ctx)
}

// abort ends every connection at once, and the process soon, whatever becomes of the
// rest.
func (g *gateway) abort() {
	cli.EndSoon(g.log)
	g.relay.Abort()
}

// tuneRuntime gives the loops what they need of the Go runtime: a P for each besides
// those of the CPUs, because a loop keeps its own while it waits for a moment, and must
// not find that the control plane and the garbage collector have all of them when it
// comes back from a longer wait; and a floor for the heap, because with a live heap of
// a few MiB the garbage of handshakes would be collected 50 times a second. The
// ballast is never touched, so it costs address space and no memory; it lives
// until the returned function is called. With GOMEMLIMIT there is none: the runtime
// counts it as memory that is used, and would collect the more often the closer the
// limit is. Above the floor garbage may be half of what is live: with 7,000 idle connections that end here it takes 6.2 to 6.6 kB for each,
// where the runtime's default (as much as is live) takes 8.1 to 9.3. The environment's
// GOGC goes before it.
func tuneRuntime(loops int) (release func()) {
	if loops == 0 {
		loops = cpuquota.CPUs()
	}
	procs := runtime.GOMAXPROCS(0)
	runtime.GOMAXPROCS(procs + loops)
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(garbagePercent)
	}
	var ballast []byte
	if debug.SetMemoryLimit(-1) == math.MaxInt64 { // no limit
		ballast = make([]byte, heapFloor)
	}
	return func() {
		runtime.KeepAlive(ballast)
		runtime.GOMAXPROCS(procs)
	}
}

const garbagePercent = 50

const heapFloor = 64 << 20 // half of it is the room for garbage
