package nameserver

import (
	"strings"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"
)

// transport is the protocol of a query.
type transport int

const (
	udp transport = iota
	tcp
)

func (t transport) String() string { return [...]string{"udp", "tcp"}[t] }

type metrics struct {
	queries *prometheus.CounterVec
	limited prometheus.Counter
	dropped *prometheus.CounterVec
	open    prometheus.Gauge
	refused prometheus.Counter

	// The children that count queries.
	answers                     [2][dns.RcodeBadVers + 1]prometheus.Counter
	ignored, overflowed, unsent prometheus.Counter
}

func newMetrics() *metrics {
	counter := func(name, help string) prometheus.CounterOpts {
		return prometheus.CounterOpts{Name: "gateway_nameserver_" + name, Help: help}
	}
	m := &metrics{
		queries: prometheus.NewCounterVec(counter("queries_total", "DNS queries that were answered, by transport and response code."), []string{"transport", "rcode"}),
		limited: prometheus.NewCounter(counter("limited_total", "Answers by UDP that were truncated because their network exceeded its limit.")),
		dropped: prometheus.NewCounterVec(counter("dropped_total", "Messages without an answer: ignored (not a query), overflow (of the kernel's buffer), unsent (the kernel refused the answer)."), []string{"reason"}),
		open:    prometheus.NewGauge(prometheus.GaugeOpts{Name: "gateway_nameserver_connections", Help: "TCP connections of DNS clients."}),
		refused: prometheus.NewCounter(counter("connections_refused_total", "TCP connections of DNS clients that were closed because there were too many.")),
	}
	for _, t := range []transport{udp, tcp} {
		for _, rcode := range []int{
			dns.RcodeSuccess, dns.RcodeFormatError, dns.RcodeNameError,
			dns.RcodeNotImplemented, dns.RcodeRefused, dns.RcodeBadVers,
		} {
			m.answers[t][rcode] = m.queries.WithLabelValues(t.String(), rcodeLabel(rcode))
		}
	}
	m.ignored = m.dropped.WithLabelValues("ignored")
	m.overflowed = m.dropped.WithLabelValues("overflow")
	m.unsent = m.dropped.WithLabelValues("unsent")
	return m
}

func rcodeLabel(rcode int) string {
	if rcode == dns.RcodeBadVers {
		return "badvers" // the table has the other name of 16
	}
	return strings.ToLower(dns.RcodeToString[rcode])
}

// Collectors returns the server's metrics, for a registry.
func (s *Server) Collectors() []prometheus.Collector {
	m := s.metrics
	return []prometheus.Collector{m.queries, m.limited, m.dropped, m.open, m.refused}
}
