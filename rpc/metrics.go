package rpc

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	requests *prometheus.CounterVec
	refused  *prometheus.CounterVec
}

func newMetrics() metrics {
	return metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gateway_rpc_requests_total",
			Help: "Requests to the guests' API, by method and HTTP status.",
		}, []string{"method", "code"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gateway_rpc_connections_refused_total",
			Help: "Connections to the guests' API closed because others needed their place more: of strangers, of strangers at addresses where guests are known, of certified guests; of these also those beyond the pace of their certificate.",
		}, []string{"class"}),
	}
}

func (m metrics) collectors() []prometheus.Collector {
	return []prometheus.Collector{m.requests, m.refused}
}

// count takes only names from the method table: what a client sends must not
// become a time series.
func (m metrics) count(method string, code int) {
	m.requests.WithLabelValues(method, strconv.Itoa(code)).Inc()
}
