package customdomain

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct{ lookups *prometheus.CounterVec }

func newMetrics() *metrics {
	return &metrics{prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "gateway_custom_domain_lookups_total",
		Help: "Lookups of names that were not remembered, by result.",
	}, []string{"result"})}
}

// count counts a lookup that ended with err.
func (m *metrics) count(err error) {
	result := "found"
	switch {
	case errors.Is(err, ErrNotFound):
		result = "not_found"
	case errors.Is(err, ErrBroken):
		result = "broken"
	case errors.Is(err, ErrLimited):
		result = "limited"
	case err != nil:
		result = "temporary"
	}
	m.lookups.WithLabelValues(result).Inc()
}

// Collectors are the resolver's metrics, for a registry.
func (r *Resolver) Collectors() []prometheus.Collector {
	return []prometheus.Collector{r.metrics.lookups}
}
