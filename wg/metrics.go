package wg

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	roams        prometheus.Counter
	dumpFailures prometheus.Counter
}

func newMetrics() *metrics {
	return &metrics{
		roams: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "gateway_wireguard_endpoint_roams_total",
			Help: "Times a peer was seen at a new endpoint.",
		}),
		dumpFailures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "gateway_wireguard_dump_failures_total",
			Help: "Times the state of the device could not be read.",
		}),
	}
}

// Collectors are the device's metrics, for a registry.
func (d *Device) Collectors() []prometheus.Collector {
	peers := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "gateway_wireguard_peers",
		Help: "Peers of the device.",
	}, func() float64 { return float64(d.count.Load()) })
	return []prometheus.Collector{peers, d.metrics.roams, d.metrics.dumpFailures}
}
