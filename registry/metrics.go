package registry

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"sallyport/registry/pool"
)

type metrics struct {
	byError   map[error]prometheus.Counter
	changed   prometheus.Counter
	unchanged prometheus.Counter
	gaveUp    prometheus.Counter // the guest left before its turn

	recycled prometheus.Counter
	verdicts *prometheus.CounterVec

	collectors []prometheus.Collector
}

func newMetrics(t *table, fetches prometheus.Collector) *metrics {
	registrations := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "gateway_registrations_total",
		Help: "Registrations by result: changed, unchanged, or why they were refused.",
	}, []string{"result"})
	m := &metrics{
		byError:   make(map[error]prometheus.Counter),
		changed:   registrations.WithLabelValues("changed"),
		unchanged: registrations.WithLabelValues("unchanged"),
		gaveUp:    registrations.WithLabelValues("gave_up"),
		recycled: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "gateway_instances_recycled_total",
			Help: "Instances removed because they neither registered nor completed a handshake.",
		}),
		verdicts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gateway_reattestations_total",
			Help: "Appraisals of the evidence of registered instances, by verdict.",
		}, []string{"verdict"}),
	}
	for err, label := range results() {
		m.byError[err] = registrations.WithLabelValues(label)
	}
	for _, verdict := range []string{"accepted", "refused", "undecided"} {
		m.verdicts.WithLabelValues(verdict)
	}
	m.collectors = []prometheus.Collector{registrations, fetches, m.recycled, m.verdicts}
	for state, count := range map[string]func(pool.Status) int{
		"free":    func(p pool.Status) int { return p.Size - p.Used - p.Resting },
		"used":    func(p pool.Status) int { return p.Used },
		"resting": func(p pool.Status) int { return p.Resting },
	} {
		m.collectors = append(m.collectors, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name:        "gateway_pool_addresses",
			Help:        "Addresses of the pool by state.",
			ConstLabels: prometheus.Labels{"state": state},
		}, func() float64 { return float64(count(t.poolStatus())) }))
	}
	return m
}

// Collectors returns the metrics: registrations by result, the pool's addresses by state, port
// policies fetched, instances recycled, evidence appraised again by verdict.
func (r *Registry) Collectors() []prometheus.Collector { return r.metrics.collectors }

func (m *metrics) registered(g Grant, err error) {
	switch {
	case err == nil && g.Changed:
		m.changed.Inc()
	case err == nil:
		m.unchanged.Inc()
	default:
		for is, counter := range m.byError {
			if errors.Is(err, is) {
				counter.Inc()
				return
			}
		}
		m.gaveUp.Inc()
	}
}

func (m *metrics) appraised(verdict string) { m.verdicts.WithLabelValues(verdict).Inc() }
