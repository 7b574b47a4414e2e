package health

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sallyport/internal/vm"
)

// Status is what operators see of one instance.
type Status struct {
	Instance vm.InstanceID
	App      vm.AppID
	Addr     netip.Addr
	Health   vm.Health
	Reason   string
	Since    time.Time     // when the state began
	Age      time.Duration // of the last handshake; below 0 if there was none, or handshakes are not watched
	Weight   uint16
	Open     int32 // connections
	Failures int32 // dials in a row, at the port with the most
}

// Status returns all instances, sorted by app and id.
func (m *Monitor) Status() []Status {
	now := time.Now()
	m.mu.Lock()
	all := make([]Status, 0, len(m.entries))
	for _, e := range m.entries {
		age := time.Duration(-1)
		if !e.shaken.IsZero() {
			age = now.Sub(e.shaken)
		}
		all = append(all, Status{
			Instance: e.spec.ID, App: e.spec.App, Addr: e.spec.Addr,
			Health: e.verdict.health, Reason: e.verdict.reason, Since: e.since, Age: age,
			Weight: e.verdict.weight, Open: e.live.Open(), Failures: e.dials.row(),
		})
	}
	m.mu.Unlock()
	slices.SortFunc(all, func(a, b Status) int {
		return cmp.Or(cmp.Compare(a.App, b.App), cmp.Compare(a.Instance, b.Instance))
	})
	return all
}

// Collectors are the metrics: gateway_instances by state.
func (m *Monitor) Collectors() []prometheus.Collector {
	return []prometheus.Collector{instances{m, prometheus.NewDesc("gateway_instances",
		"Instances by health.", []string{"state"}, nil)}}
}

// instances counts when it is asked.
type instances struct {
	m    *Monitor
	desc *prometheus.Desc
}

func (c instances) Describe(ch chan<- *prometheus.Desc) { ch <- c.desc }

func (c instances) Collect(ch chan<- prometheus.Metric) {
	c.m.mu.Lock()
	counts := c.m.counts
	c.m.mu.Unlock()
	for h, n := range counts {
		ch <- prometheus.MustNewConstMetric(c.desc, prometheus.GaugeValue, float64(n), vm.Health(h).String())
	}
}
