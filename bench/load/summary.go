package load

import (
	"fmt"
	"io"
)

// Empty reports whether nothing came of the run: no operation ended, no byte moved.
func (r *Result) Empty() bool { return r.Operations == 0 && r.Bytes == 0 }

// Write prints a summary for people.
func (r *Result) Write(w io.Writer) {
	fmt.Fprintf(w, "%s, %d connections, %.1f s\n", r.Workload, r.Connections, r.Seconds)
	if r.Operations > 0 {
		fmt.Fprintf(w, "  operations  %d (%.0f/s)\n", r.Operations, r.OperationsRate)
	}
	if r.Bytes > 0 {
		fmt.Fprintf(w, "  bulk        %.3f GB (%.1f MB/s%s)\n", float64(r.Bytes)/1e9, r.BytesRate/1e6, r.bulkLimit())
	}
	if l := r.Latency; l.Count > 0 {
		fmt.Fprintf(w, "  latency     min %.0f  p50 %.0f  p90 %.0f  p99 %.0f  p999 %.0f  max %.0f µs\n", l.Min, l.P50, l.P90, l.P99, l.P999, l.Max)
	}
	if r.Handshakes > 0 {
		fmt.Fprintf(w, "  handshakes  %d, %d of them resumed\n", r.Handshakes, r.Resumed)
	}
	if r.Unended > 0 {
		fmt.Fprintf(w, "  unended     %d operations\n", r.Unended)
	}
	for _, f := range r.Failures {
		fmt.Fprintf(w, "  error       %s, %s: %s\n", f.Kind, times(f.Count), f.First)
	}
	r.writeCPU(w)
	if i := r.Idle; i != nil && i.Descriptors != 0 {
		fmt.Fprintf(w, "  idle        %.0f bytes RSS and %.3f descriptors a connection, over %d of them\n", i.RSS, i.Descriptors, i.Connections)
	}
}

func (r *Result) bulkLimit() string {
	if r.BulkRate == 0 {
		return ""
	}
	return fmt.Sprintf(", limited to %.1f", r.BulkRate/1e6)
}

func (r *Result) writeCPU(w io.Writer) {
	c := r.CPU
	busy := c.Generator / r.Seconds / float64(max(r.Threads, 1))
	fmt.Fprintf(w, "  CPU         generator %.2f s%s, machine %.2f s", c.Generator, r.perUnit(c.Generator), c.Machine)
	if c.Process > 0 {
		fmt.Fprintf(w, ", process %.3f s%s, %.0f %% in user space", c.Process, r.perUnit(c.Process), 100*c.ProcessUser/c.Process)
	}
	fmt.Fprintln(w)
	// What a generator without a pause measures may be itself.
	if busy > saturated {
		fmt.Fprintf(w, "  note        the generator was busy for %.0f %% of the time: give it more --threads, or a lower --rate or --bulk-rate\n", 100*busy)
	}
}

// saturated is the share of its threads' time from which a generator is taken for the bottleneck.
const saturated = 0.95

// perUnit returns what one operation or GB costs. Mixed has both, so its cost is that of neither.
func (r *Result) perUnit(seconds float64) string {
	switch {
	case r.Workload == Mixed || r.Workload == Idle:
	case r.Operations > 0:
		return fmt.Sprintf(" (%.2f µs an operation)", seconds*1e6/float64(r.Operations))
	case r.Bytes > 0:
		return fmt.Sprintf(" (%.0f ms a GB)", seconds*1e12/float64(r.Bytes))
	}
	return ""
}
