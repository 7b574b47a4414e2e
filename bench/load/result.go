package load

import (
	"fmt"
	"io"
	"time"

	"sallyport/bench/meter"
)

// A Result is what a run has measured. Its JSON form is what --json prints.
type Result struct {
	Workload    Workload `json:"workload"`
	Connections int      `json:"connections"`
	Seconds     float64  `json:"seconds"`
	// Operations are requests, connections, or trickled messages that ended; Bytes
	// are those of bulk connections, after TLS.
	Operations     uint64  `json:"operations"`
	OperationsRate float64 `json:"operations_per_second"`
	Bytes          uint64  `json:"bytes"`
	BytesRate      float64 `json:"bytes_per_second"`
	Latency        Latency `json:"latency"`
	// Unended operations were due by the schedule and had not ended at the end. They
	// are in Latency with the time that they had taken by then.
	Unended    uint64  `json:"unended"`
	Errors     uint64  `json:"errors"`
	FirstError string  `json:"first_error,omitempty"`
	Handshakes uint64  `json:"handshakes"`
	Resumed    uint64  `json:"resumed"`
	CPU        CPU     `json:"cpu"`
	Idle       *Idling `json:"idle,omitempty"`
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
	Elapsed        time.Duration // since the connections were made
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

// use tells what was used between two samples of the metered process and of this one.
func use(from, until, ownFrom, ownUntil meter.Sample) CPU {
	c := CPU{
		Generator: (ownUntil.Process - ownFrom.Process).Seconds(),
		Process:   (until.Process - from.Process).Seconds(),
		Machine:   (until.Machine - from.Machine).Seconds(),
	}
	user, system := until.User-from.User, until.System-from.System
	if user+system > 0 {
		c.ProcessUser = c.Process * float64(user) / float64(user+system)
	}
	return c
}

// Write prints a summary for people.
func (r *Result) Write(w io.Writer) {
	fmt.Fprintf(w, "%s, %d connections, %.1f s\n", r.Workload, r.Connections, r.Seconds)
	if r.Operations > 0 {
		fmt.Fprintf(w, "  operations  %d (%.0f/s)\n", r.Operations, r.OperationsRate)
	}
	if r.Bytes > 0 {
		fmt.Fprintf(w, "  bulk        %.3f GB (%.1f MB/s)\n", float64(r.Bytes)/1e9, r.BytesRate/1e6)
	}
	if l := r.Latency; l.Count > 0 {
		fmt.Fprintf(w, "  latency     min %.0f  p50 %.0f  p90 %.0f  p99 %.0f  p999 %.0f  max %.0f µs\n", l.Min, l.P50, l.P90, l.P99, l.P999, l.Max)
	}
	if r.Handshakes > 0 {
		fmt.Fprintf(w, "  handshakes  %d, %d of them resumed\n", r.Handshakes, r.Resumed)
	}
	if r.Unended > 0 {
		fmt.Fprintf(w, "  unended     %d operations that were due\n", r.Unended)
	}
	if r.Errors > 0 {
		fmt.Fprintf(w, "  errors      %d, the first: %s\n", r.Errors, r.FirstError)
	}
	fmt.Fprintf(w, "  CPU         generator %.2f s, machine %.2f s", r.CPU.Generator, r.CPU.Machine)
	if r.CPU.Process > 0 {
		fmt.Fprintf(w, ", process %.3f s (%.0f %% in user space)%s", r.CPU.Process, 100*r.CPU.ProcessUser/r.CPU.Process, r.perUnit())
	}
	fmt.Fprintln(w)
	if i := r.Idle; i != nil {
		fmt.Fprintf(w, "  idle        %.0f bytes RSS and %.3f descriptors a connection, over %d of them\n", i.RSS, i.Descriptors, i.Connections)
	}
}

func (r *Result) perUnit() string {
	switch {
	case r.Operations > 0:
		return fmt.Sprintf(", %.2f µs an operation", r.CPU.Process*1e6/float64(r.Operations))
	case r.Bytes > 0:
		return fmt.Sprintf(", %.0f ms a GB", r.CPU.Process*1e12/float64(r.Bytes))
	}
	return ""
}
