package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"sallyport/config"
	"sallyport/gateway/issue"
	"sallyport/internal/cpuquota"
	"sallyport/internal/descriptors"
	"sallyport/internal/listenat"
	"sallyport/wg"
)

// divide divides the descriptors that the process may have among the parts of a gateway
// whose tunnel is made in that mode.
func divide(cfg *config.Config, mode wg.Mode) (descriptors.Budget, error) {
	limit, err := descriptors.Limit()
	if err != nil {
		return descriptors.Budget{}, err
	}
	n := descriptors.Needs{
		Loops: cmp.Or(cfg.Proxy.Loops, cpuquota.CPUs()), Listeners: len(listenat.Resolve(cfg.Proxy.Listen)),
		Guests: cfg.RPC.Listen.IsValid(), Lookups: cfg.CustomDomain.Enabled,
		PerConnection: 2, Connections: cfg.Proxy.MaxConnections,
	}
	if issue.HasACME(cfg.Domains) && cfg.ACME.DNS == config.DNSEmbedded {
		n.DNS = len(listenat.Resolve(cfg.ACME.Embedded.Listen))
	}
	if mode == wg.ModeNetstack {
		n.PerConnection = 3
	}
	return descriptors.Divide(limit, n)
}

// openBudget says who may have how many descriptors. The tunnel has its mode by now.
func (g *gateway) openBudget(context.Context) (err error) {
	if g.budget, err = divide(g.cfg, g.tunnel.Mode()); err != nil {
		return err
	}
	g.site.limit(g.budget.Site)
	attrs := []slog.Attr{slog.Int("limit", g.budget.Limit)}
	for _, s := range g.budget.Shares() {
		attrs = append(attrs, slog.Int(s.Name, s.Descriptors))
	}
	g.log.LogAttrs(context.Background(), slog.LevelInfo, "descriptors divided", attrs...)
	if lacking(g.budget, g.cfg) {
		g.log.Warn("[proxy] max_connections is more than the limit of descriptors has room for; raise it (ulimit -n, LimitNOFILE=)",
			"max_connections", g.cfg.Proxy.MaxConnections, "in_force", g.budget.Connections)
	}
	return nil
}

// tellDescriptors says how the descriptors would be divided here.
func tellDescriptors(out io.Writer, cfg *config.Config) {
	b, err := divide(cfg, wg.Mode(cfg.WireGuard.Mode))
	if err != nil {
		fmt.Fprintf(out, "warning: %v\n", err)
		return
	}
	var shares []string
	for _, s := range b.Shares() {
		if s.Descriptors > 0 {
			shares = append(shares, fmt.Sprintf("%s %d", s.Name, s.Descriptors))
		}
	}
	fmt.Fprintf(out, "with %d descriptors, as here: %d connections of %d each (%s)\n", b.Limit, b.Connections, b.PerConnection, strings.Join(shares, ", "))
	if lacking(b, cfg) {
		fmt.Fprintf(out, "warning: max_connections = %d is more than %d descriptors have room for: %d would be in force; raise the limit where the gateway runs (LimitNOFILE=, ulimit -n)\n",
			cfg.Proxy.MaxConnections, b.Limit, b.Connections)
	}
}

// lacking reports whether the file asks for more connections than there is room for.
func lacking(b descriptors.Budget, cfg *config.Config) bool { return cfg.Proxy.MaxConnections > b.Room }

// budgetCollector shows the division beside process_open_fds.
type budgetCollector struct{ descriptors.Budget }

var descBudget = prometheus.NewDesc("gateway_descriptors_budget", "How the limit of descriptors is divided.", []string{"share"}, nil)

// Describe implements prometheus.Collector.
func (budgetCollector) Describe(ch chan<- *prometheus.Desc) { ch <- descBudget }

// Collect implements prometheus.Collector.
func (c budgetCollector) Collect(ch chan<- prometheus.Metric) {
	for _, s := range c.Shares() {
		ch <- prometheus.MustNewConstMetric(descBudget, prometheus.GaugeValue, float64(s.Descriptors), s.Name)
	}
}
