package certs

import "github.com/prometheus/client_golang/prometheus"

func newFailureCounter() prometheus.Counter {
	return prometheus.NewCounter(prometheus.CounterOpts{
		Name: "gateway_certificate_reload_failures_total",
		Help: "Times that a domain's certificate files were checked and could not be used. It grows while they are bad.",
	})
}

func newMissCounter() prometheus.Counter {
	return prometheus.NewCounter(prometheus.CounterOpts{
		Name: "gateway_certificate_missing_total",
		Help: "Handshakes refused because their domain had no certificate yet.",
	})
}

// Collectors are the metrics of the index, for one registry.
func (x *Index) Collectors() []prometheus.Collector {
	return []prometheus.Collector{x.failed, x.missed, expiry{x, prometheus.NewDesc(
		"gateway_certificate_not_after_seconds", "When the served certificate expires, in seconds since 1970.", []string{"domain"}, nil,
	)}}
}

// expiry reports the domains that have a certificate now. A certificate for the domain
// itself is in the metrics of its maker: the label here is the domain.
type expiry struct {
	index *Index
	desc  *prometheus.Desc
}

// Describe implements prometheus.Collector.
func (e expiry) Describe(ch chan<- *prometheus.Desc) { ch <- e.desc }

// Collect implements prometheus.Collector.
func (e expiry) Collect(ch chan<- prometheus.Metric) {
	for _, d := range e.index.table.Load().domains {
		if p := d.served.Load(); p != nil && !d.source.Apex {
			ch <- prometheus.MustNewConstMetric(e.desc, prometheus.GaugeValue, float64(p.cert.Leaf.NotAfter.Unix()), d.source.Domain)
		}
	}
}
