package relay

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sallyport/internal/hello"
)

// metrics are the metrics of the engine. Counters of the hot path are
// plain words of each loop, added up when they are asked for.
type metrics struct {
	handshakeTime    prometheus.Histogram
	handshakesFailed prometheus.Counter
	dialTime         *prometheus.HistogramVec
	dialOK           prometheus.Observer
	dialFailed       prometheus.Observer
}

// From 100 µs, a handshake on an idle machine, doubling to 13 s, past every timeout.
var buckets = prometheus.ExponentialBuckets(100e-6, 2, 18)

func newMetrics() *metrics {
	m := &metrics{
		handshakeTime: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "gateway_handshake_seconds", Help: "Duration of successful TLS handshakes, network included.", Buckets: buckets,
		}),
		handshakesFailed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "gateway_handshakes_failed_total", Help: "TLS handshakes that failed or timed out.",
		}),
		dialTime: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "gateway_dial_seconds", Help: "Duration of dials to instances, by result; overtaken dials count as failed.", Buckets: buckets,
		}, []string{"result"}),
	}
	m.dialOK = m.dialTime.WithLabelValues("ok")
	m.dialFailed = m.dialTime.WithLabelValues("failed")
	return m
}

func (m *metrics) dialled(took time.Duration, ok bool) {
	if ok {
		m.dialOK.Observe(took.Seconds())
	} else {
		m.dialFailed.Observe(took.Seconds())
	}
}

// Collectors are the engine's metrics, for a Prometheus registry.
func (e *Engine) Collectors() []prometheus.Collector {
	return []prometheus.Collector{e.metrics.handshakeTime, e.metrics.handshakesFailed, e.metrics.dialTime, collector{e}}
}

// collector reads the loops' counters.
type collector struct{ e *Engine }

var (
	descOpen     = prometheus.NewDesc("gateway_connections_open", "Connections that are open now.", nil, nil)
	descMax      = prometheus.NewDesc("gateway_connections_max", "Limit of open connections.", nil, nil)
	descAccepted = prometheus.NewDesc("gateway_connections_accepted_total", "Connections accepted.", nil, nil)
	descEnded    = prometheus.NewDesc("gateway_connections_total", "Connections that ended, by mode and reason.", []string{"mode", "reason", "ended_by"}, nil)
	descBytes    = prometheus.NewDesc("gateway_bytes_total", "Bytes relayed; up is client to instance.", []string{"direction", "relay"}, nil)
	descAccept   = prometheus.NewDesc("gateway_accept_errors_total", "Times that no descriptor was left for a new connection.", nil, nil)
	descReset    = prometheus.NewDesc("gateway_refused_reset_total", "Refused clients that were reset before they could read the alert, because too many others were still reading.", nil, nil)
	descUnhedged = prometheus.NewDesc("gateway_hedges_refused_total", "Slow dials without a second one beside them, because too many were in progress.", nil, nil)
	descPipes    = prometheus.NewDesc("gateway_pipes_open", "Pipes for splicing.", nil, nil)
	descMaxPipes = prometheus.NewDesc("gateway_pipes_max", "Limit of pipes.", nil, nil)
	descRefused  = prometheus.NewDesc("gateway_pipes_refused_total", "Pipes that could not be created, or were too small (the user's pipe quota); the bytes were copied instead.", nil, nil)
	descLag      = prometheus.NewDesc("gateway_loop_lag_seconds", "Longest round of a loop since the last scrape: the longest that an event may have waited.", []string{"loop"}, nil)
	descStalls   = prometheus.NewDesc("gateway_loop_stalls_total", "Rounds of a loop that lasted over two seconds, during which its connections stood still.", []string{"loop"}, nil)
	descBusy     = prometheus.NewDesc("gateway_loop_busy_seconds_total", "Time that a loop spent working.", []string{"loop"}, nil)
)

// Describe implements prometheus.Collector.
func (c collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		descOpen, descMax, descAccepted, descEnded, descBytes, descAccept, descReset, descUnhedged,
		descPipes, descMaxPipes, descRefused, descLag, descStalls, descBusy,
	} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c collector) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	counter := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, v, labels...)
	}
	gauge(descOpen, float64(c.e.Open()))
	gauge(descMax, float64(c.e.opts.MaxConnections))
	gauge(descMaxPipes, float64(c.e.opts.MaxPipes))
	counter(descAccepted, c.sum(func(s *loopStats) uint64 { return s.accepted.Load() }))
	counter(descAccept, c.sum(func(s *loopStats) uint64 { return s.acceptErrors.Load() }))
	counter(descReset, c.sum(func(s *loopStats) uint64 { return s.reset.Load() }))
	counter(descUnhedged, c.sum(func(s *loopStats) uint64 { return s.unhedged.Load() }))
	counter(descRefused, c.sum(func(s *loopStats) uint64 { return s.pipesRefused.Load() }))
	gauge(descPipes, c.sum(func(s *loopStats) uint64 { return uint64(max(0, s.pipes.Load())) }))
	for m := range hello.Modes {
		for r := goOn + 1; r < reasons; r++ {
			if n := c.sum(func(s *loopStats) uint64 { return s.ended[m][r].Load() }); n > 0 {
				counter(descEnded, n, m.String(), r.String(), r.Party().String())
			}
		}
	}
	for dir, name := range []string{"up", "down"} {
		for m := range relayModes {
			counter(descBytes, c.sum(func(s *loopStats) uint64 { return s.bytes[dir][m].Load() }), name, m.String())
		}
	}
	for i, l := range c.e.loops {
		counter(descStalls, float64(l.pulse.stalls.Load()), strconv.Itoa(i))
		gauge(descLag, l.stats.lag().Seconds(), strconv.Itoa(i))
		counter(descBusy, time.Duration(l.stats.busy.Load()).Seconds(), strconv.Itoa(i))
	}
}

func (c collector) sum(of func(*loopStats) uint64) float64 {
	var n uint64
	for _, l := range c.e.loops {
		n += of(&l.stats)
	}
	return float64(n)
}
