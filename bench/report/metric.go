package report

import (
	"math"
	"slices"

	"sallyport/bench/load"
)

// A Metric is a figure of a run.
type Metric string

// The metrics. CPU time is the proxy's own, in user space and in the kernel on its
// behalf; that of the machine has the generator, the backend and the kernel's threads
// in it as well.
const (
	CPUPerUnit     Metric = "CPU"         // µs an operation, ms a GB
	MachinePerUnit Metric = "machine CPU" // likewise
	Rate           Metric = "rate"        // operations a second, GB/s
	Bulk           Metric = "bulk"        // MB a second, moved beside operations
	P50            Metric = "p50"         // µs
	P99            Metric = "p99"
	P999           Metric = "p999"
	RSS            Metric = "RSS"         // bytes a connection
	Descriptors    Metric = "descriptors" // a connection
	UserShare      Metric = "user space"  // % of CPU
)

// of is the figure of one run; false is that it has none.
func (m Metric) of(r *load.Result, unit Unit) (float64, bool) {
	amount, scale := float64(r.Operations), 1e6
	if unit == Gigabyte {
		amount, scale = float64(r.Bytes)/1e9, 1e3
	}
	switch m {
	case CPUPerUnit:
		return scale * r.CPU.Process / amount, amount > 0
	case MachinePerUnit:
		return scale * r.CPU.Machine / amount, amount > 0
	case Rate:
		return amount / r.Seconds, amount > 0 && r.Seconds > 0
	case Bulk:
		return float64(r.Bytes) / 1e6 / r.Seconds, unit == Operation && r.Bytes > 0 && r.Seconds > 0
	case P50:
		return r.Latency.P50, r.Latency.Count > 0
	case P99:
		return r.Latency.P99, r.Latency.Count > 0
	case P999:
		return r.Latency.P999, r.Latency.Count > 0
	case UserShare:
		return 100 * r.CPU.ProcessUser / r.CPU.Process, r.CPU.Process > 0
	default:
		return m.idle(r.Idle)
	}
}

func (m Metric) idle(i *load.Idling) (float64, bool) {
	switch {
	case i == nil:
		return 0, false
	case m == RSS:
		return i.RSS, true
	default:
		return i.Descriptors, m == Descriptors
	}
}

// A Figure is a metric over the rounds. In place of the median, UserShare has the share
// of all rounds together: the kernel counts it in ticks of 10 ms, of which user space has
// a dozen in a round.
type Figure struct {
	Median, Min, Max float64
	Rounds           int // 0: not measured
}

// Figure computes a metric of a proxy under a workload.
func (r *Results) Figure(workload, proxy string, m Metric) Figure {
	unit := Operation
	for _, w := range r.Workloads {
		if w.Name == workload {
			unit = w.Unit
		}
	}
	var all []float64
	var cpu load.CPU
	for _, run := range r.Runs {
		if run.Workload != workload || run.Proxy != proxy || run.Result == nil {
			continue
		}
		if v, ok := m.of(run.Result, unit); ok && !math.IsNaN(v) && !math.IsInf(v, 0) {
			all = append(all, v)
			cpu.Process += run.Result.CPU.Process
			cpu.ProcessUser += run.Result.CPU.ProcessUser
		}
	}
	f := NewFigure(all)
	if m == UserShare && f.Rounds > 0 {
		f.Median, _ = m.of(&load.Result{CPU: cpu}, unit)
	}
	return f
}

// NewFigure is the figure of these rounds.
func NewFigure(all []float64) Figure {
	n := len(all)
	if n == 0 {
		return Figure{}
	}
	slices.Sort(all)
	return Figure{Median: (all[(n-1)/2] + all[n/2]) / 2, Min: all[0], Max: all[n-1], Rounds: n}
}

// Foreign is the share of the machine's CPU time, in percent, that neither the proxy
// nor the generator had while runs were measured. Much of it spoils the figures. Of a
// tunnel it is unknown: the CVM at its far end is another process.
func (r *Results) Foreign() Figure {
	var all []float64
	for _, run := range r.Runs {
		if run.Proxy == BareTunnel {
			return Figure{}
		}
		if run.Result == nil || run.Result.Seconds <= 0 || r.Machine.CPUs < 1 {
			continue
		}
		c := run.Result.CPU
		all = append(all, max(100*(c.Machine-c.Process-c.Generator)/run.Result.Seconds/float64(r.Machine.CPUs), 0))
	}
	return NewFigure(all)
}
