package certs

import "github.com/prometheus/client_golang/prometheus"

func newFailureCounter() prometheus.Counter {
	return prometheus.NewCounter(prometheus.CounterOpts{
		Name: "gateway_certificate_reload_failures_total",
		Help: "Times that a domain's certificate files were looked at and could not be served; it grows while they are bad.",
	})
}

// Collectors are the metrics of the index, for one registry.
func (x *Index) Collectors() []prometheus.Collector {
	list := []prometheus.Collector{x.failed}
	for _, d := range x.domains {
		list = append(list, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name:        "gateway_certificate_not_after_seconds",
			Help:        "When the served certificate expires, in seconds since 1970.",
			ConstLabels: prometheus.Labels{"domain": d.source.Domain},
		}, func() float64 { return float64(d.served.Load().cert.Leaf.NotAfter.Unix()) }))
	}
	return list
}
