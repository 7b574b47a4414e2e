package acme

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the counters of a Manager.
type metrics struct {
	orders, failures prometheus.Counter
}

func newMetrics() metrics {
	return metrics{
		orders: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "gateway_acme_orders_total",
			Help: "New orders at certificate authorities; they count against rate limits.",
		}),
		failures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "gateway_acme_failures_total",
			Help: "Tries to obtain a certificate that failed at every authority.",
		}),
	}
}

// Collectors are the metrics of the manager, for one registry.
func (m *Manager) Collectors() []prometheus.Collector {
	return []prometheus.Collector{m.metrics.orders, m.metrics.failures, perName{
		m: m,
		notAfter: prometheus.NewDesc("gateway_acme_certificate_not_after_seconds",
			"When the certificate of the name expires, in seconds since 1970; 0 if there is none.", []string{"name"}, nil),
		failing: prometheus.NewDesc("gateway_acme_failing_tries",
			"Failed tries in a row to obtain a certificate for the name; 0 after a success.", []string{"name"}, nil),
		nextTry: prometheus.NewDesc("gateway_acme_next_try_seconds",
			"When the gateway next tries to obtain the certificate of the name, in seconds since 1970.", []string{"name"}, nil),
	}}
}

// perName reports the names that are kept at the moment.
type perName struct {
	m                          *Manager
	notAfter, failing, nextTry *prometheus.Desc
}

// Describe implements prometheus.Collector.
func (p perName) Describe(to chan<- *prometheus.Desc) {
	to <- p.notAfter
	to <- p.failing
	to <- p.nextTry
}

// Collect implements prometheus.Collector.
func (p perName) Collect(to chan<- prometheus.Metric) {
	for _, s := range p.m.Status() {
		to <- prometheus.MustNewConstMetric(p.notAfter, prometheus.GaugeValue, seconds(s.NotAfter), s.Name)
		to <- prometheus.MustNewConstMetric(p.failing, prometheus.GaugeValue, float64(s.Failures), s.Name)
		to <- prometheus.MustNewConstMetric(p.nextTry, prometheus.GaugeValue, seconds(s.NextTry), s.Name)
	}
}

func seconds(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.Unix())
}
