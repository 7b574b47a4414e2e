package gateway

import (
	"cmp"
	"context"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"sallyport/config"
	"sallyport/gateway/issue"
	"sallyport/internal/cpuquota"
	"sallyport/internal/descriptors"
	"sallyport/internal/listenat"
	"sallyport/wg"
)

// Divide divides the descriptors that the process may have among the parts of a gateway
// whose tunnel is made in that mode.
func Divide(cfg *config.Config, mode wg.Mode) (descriptors.Budget, error) {
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
func (g *Gateway) openBudget(context.Context) (err error) {
	if g.budget, err = Divide(g.cfg, g.tunnel.Mode()); err != nil {
		return err
	}
	attrs := []slog.Attr{slog.Int("limit", g.budget.Limit)}
	for _, s := range g.budget.Shares() {
		attrs = append(attrs, slog.Int(s.Name, s.Descriptors))
	}
	g.log.LogAttrs(context.Background(), slog.LevelInfo, "descriptors divided", attrs...)
	if g.cfg.Proxy.MaxConnections > g.budget.Room {
		g.log.Warn("the limit of descriptors is too low for [proxy] max_connections; raise the limit (ulimit -n, LimitNOFILE=)",
			"max_connections", g.cfg.Proxy.MaxConnections, "in_force", g.budget.Connections)
	}
	return nil
}

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
