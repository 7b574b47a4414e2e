package gateway

import (
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"sallyport/internal/logsink"
)

// ownLog is log for a thread that must not wait for others who log, nor lose its lines
// because of theirs.
func ownLog(log *slog.Logger) *slog.Logger {
	if h, ok := log.Handler().(*logsink.Handler); ok {
		return slog.New(h.Own())
	}
	return log
}

// logCollectors are the metrics of log.
func logCollectors(log *slog.Logger) []prometheus.Collector {
	h, ok := log.Handler().(*logsink.Handler)
	if !ok {
		return nil
	}
	return []prometheus.Collector{prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "gateway_log_lines_dropped_total",
		Help: "Log lines that were dropped because the log's reader is too slow or its disk is full.",
	}, func() float64 { return float64(h.Dropped()) })}
}
