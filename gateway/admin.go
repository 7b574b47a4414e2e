package gateway

import (
	"context"
	"errors"
	"fmt"
	"net"

	"sallyport/admin"
	"sallyport/internal/listenat"
)

// openAdmin listens for operators, if that is asked for.
func (g *Gateway) openAdmin(ctx context.Context) error {
	server := admin.New(g.adminOptions())
	at := g.cfg.Admin.Listen
	if !at.IsValid() {
		return nil
	}
	if !at.Addr().IsLoopback() {
		g.log.Warn("[admin] listen is not a loopback address: all hosts that reach it can read the names of apps and their traffic", "address", at.String())
	}
	l, err := listenat.TCP(ctx, at)
	if err != nil {
		return fmt.Errorf("[admin] listen: %w", err)
	}
	g.operators = l
	g.add(part{
		run:   func(ctx context.Context) error { return server.Serve(ctx, l) },
		close: closing(func() { _ = l.Close() }), // which the server may have done
	})
	g.listeners.Add(l.Addr().(*net.TCPAddr).AddrPort())
	g.log.Info("listening for operators", "address", l.Addr().String())
	return nil
}

// adminOptions are what operators see: the checks of /readyz, the metrics, the status.
func (g *Gateway) adminOptions() admin.Options {
	opts := admin.Options{Log: g.log, Status: g.Status, Hosts: g.cfg.Admin.Hosts, Profiles: g.cfg.Admin.Pprof}
	opts.Checks = []admin.Check{
		{Name: "certificate", Ready: func() error { return certified(g.certs, g.issuer) }},
		{Name: "tunnel", Ready: g.tunnel.Ready},
		{Name: "loops", Ready: g.relay.Ready},
		{Name: "listeners", Ready: func() error {
			if g.draining.Load() {
				return errors.New("draining: new connections are refused")
			}
			return nil
		}},
	}
	opts.Collectors = append(opts.Collectors, logCollectors(g.log)...)
	opts.Collectors = append(opts.Collectors, budgetCollector{g.budget})
	opts.Collectors = append(opts.Collectors, g.relay.Collectors()...)
	opts.Collectors = append(opts.Collectors, g.health.Collectors()...)
	opts.Collectors = append(opts.Collectors, g.tunnel.Collectors()...)
	opts.Collectors = append(opts.Collectors, g.certs.Collectors()...)
	opts.Collectors = append(opts.Collectors, g.registry.Collectors()...)
	if g.guests != nil {
		opts.Checks = append(opts.Checks, admin.Check{Name: "rpc certificate", Ready: g.guests.Ready})
		opts.Collectors = append(opts.Collectors, g.guests.Collectors()...)
	}
	if g.issuer != nil {
		opts.Collectors = append(opts.Collectors, g.issuer.Collectors()...)
	}
	if g.custom != nil {
		opts.Collectors = append(opts.Collectors, g.custom.Collectors()...)
	}
	return opts
}
