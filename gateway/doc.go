// Package gateway is one gateway: its parts, joined.
//
//	cfg, err := config.Load("gateway.toml")
//	if err != nil {
//		return err
//	}
//	g, err := gateway.New(ctx, cfg, log)
//	if err != nil {
//		return err
//	}
//	return g.Run(ctx)
//
// A program may run several gateways, each with its own configuration, and stays in charge
// of its process: the package installs no signal handler, sets no limit of the Go runtime
// and never ends the process. Two things are shared. Each gateway divides the process's
// limit of descriptors as if it were alone. And each event loop keeps a P of the Go runtime
// while it waits for a moment, so GOMAXPROCS should count the loops besides the CPUs.
//
// gateway.go is the table of contents. The two planes are put together in control.go (which
// instances are registered, and by which evidence) and data.go (where connections go). The
// rooms below this package make the decisions, and know nothing of each other:
//
//	gateway/issue     how the gateway gets its certificates
//	gateway/appraise  which evidence is accepted
//	gateway/guests    who a guest is that registers
//	gateway/route     where a connection goes
//
// Reload and ReloadConfig (reload.go) take over what may change while the gateway runs;
// Status (report.go) is what operators see.
package gateway
