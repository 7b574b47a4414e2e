package load

import (
	"fmt"
	"time"
)

// A Result is what a run has measured. Its JSON form is what --json prints.
type Result struct {
	Workload    Workload `json:"workload"`
	Connections int      `json:"connections"`
	Threads     int      `json:"threads"`
	Rate        float64  `json:"rate,omitempty"`      // as wanted; 0: as fast as they went
	BulkRate    float64  `json:"bulk_rate,omitempty"` // bytes a second, likewise
	Seconds     float64  `json:"seconds"`
	// Operations are requests, connections, or trickled messages that ended; Bytes
	// are those of bulk connections, after TLS.
	Operations     uint64  `json:"operations"`
	OperationsRate float64 `json:"operations_per_second"`
	Bytes          uint64  `json:"bytes"`
	BytesRate      float64 `json:"bytes_per_second"`
	Latency        Latency `json:"latency"`
	// Unended operations were late and had not ended at the end: by the schedule, later
	// than the median; without one, under way for longer than any that had ended. They
	// are in Latency with the time that they had taken by then.
	Unended uint64 `json:"unended"`
	// Failed are connections that failed meanwhile.
	Failed uint64 `json:"failed,omitempty"`
	// Errors are those of the whole run, warm-up included; Failures names them.
	Errors     uint64    `json:"errors"`
	FirstError string    `json:"first_error,omitempty"`
	Failures   []Failure `json:"failures,omitempty"`
	Handshakes uint64    `json:"handshakes"`
	Resumed    uint64    `json:"resumed"`
	CPU        CPU       `json:"cpu"`
	Idle       *Idling   `json:"idle,omitempty"`
}

// Latency is in microseconds.
type Latency struct {
	Count uint64  `json:"count"`
	Min   float64 `json:"min_us"`
	Mean  float64 `json:"mean_us"`
	P50   float64 `json:"p50_us"`
	P90   float64 `json:"p90_us"`
	P99   float64 `json:"p99_us"`
	P999  float64 `json:"p999_us"`
	Max   float64 `json:"max_us"`
}

// CPU is CPU time in seconds during Result.Seconds.
type CPU struct {
	Generator   float64 `json:"generator_s"`    // this process
	Process     float64 `json:"process_s"`      // the metered one and its children
	ProcessUser float64 `json:"process_user_s"` // of that, outside the kernel
	Machine     float64 `json:"machine_s"`      // everything
}

// Idling is what an idle connection keeps of the metered process.
type Idling struct {
	Connections int     `json:"connections"` // between the two samples
	RSS         float64 `json:"rss_bytes_per_connection"`
	Descriptors float64 `json:"descriptors_per_connection"`
}

// A Progress is the state of a run.
type Progress struct {
	Elapsed        time.Duration // since the run began
	OperationsRate float64       // since the last Progress
	BytesRate      float64
	Open           int64
	Errors         uint64
	Measuring      bool
}

// String is one line for people.
func (p Progress) String() string {
	phase := "warming up"
	if p.Measuring {
		phase = "measuring"
	}
	return fmt.Sprintf("%s %5.1fs  %9.0f op/s  %8.1f MB/s  %d open  %d errors",
		phase, p.Elapsed.Seconds(), p.OperationsRate, p.BytesRate/1e6, p.Open, p.Errors)
}

func latency(h *Histogram) Latency {
	us := func(d time.Duration) float64 { return float64(d) / 1e3 }
	return Latency{
		Count: h.Count(), Min: us(time.Duration(h.min)), Mean: us(h.Mean()), Max: us(time.Duration(h.max)),
		P50: us(h.Quantile(0.5)), P90: us(h.Quantile(0.9)), P99: us(h.Quantile(0.99)), P999: us(h.Quantile(0.999)),
	}
}

// use returns what was used between two moments.
func use(a, b moment) CPU {
	from, until := a.target, b.target
	c := CPU{
		Generator: (b.generator - a.generator).Seconds(),
		Process:   (until.Process - from.Process).Seconds(),
		Machine:   (until.Machine - from.Machine).Seconds(),
	}
	user, system := until.User-from.User, until.System-from.System
	if user+system > 0 {
		c.ProcessUser = c.Process * float64(user) / float64(user+system)
	}
	return c
}
