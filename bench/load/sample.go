package load

import (
	"context"
	"time"

	"sallyport/bench/meter"
)

// moment is everything that is counted, at one time.
type moment struct {
	at                time.Time
	target            meter.Sample
	generator         time.Duration // CPU time of this process
	operations, bytes uint64
	handshakes        uint64
	resumed, errors   uint64
	open              int64
}

func (r *run) sample() (moment, error) {
	m := r.totals()
	m.generator = meter.Own()
	var err error
	m.target, err = meter.Take(r.opts.PID)
	return m, err
}

func (r *run) totals() moment {
	m := moment{at: time.Now()}
	for _, l := range r.loops {
		c := &l.counters
		m.operations += c.operations.Load()
		m.bytes += c.bytes.Load()
		m.handshakes += c.handshakes.Load()
		m.resumed += c.resumed.Load()
		m.errors += c.errors.Load()
		m.open += c.open.Load()
	}
	return m
}

// isOpen is how many connections are up.
func (m moment) isOpen() int64 { return m.open }

// isIdle is how many had their reply and are left alone, or are lost.
func (m moment) isIdle() int64 { return int64(m.operations + m.errors) }

// between is what happened between two moments.
func between(a, b moment) *Result {
	s := b.at.Sub(a.at).Seconds()
	r := &Result{
		Seconds: s, Operations: b.operations - a.operations, Bytes: b.bytes - a.bytes,
		Failed: b.errors - a.errors, Handshakes: b.handshakes - a.handshakes, Resumed: b.resumed - a.resumed,
		CPU: use(a, b),
	}
	r.OperationsRate, r.BytesRate = float64(r.Operations)/s, float64(r.Bytes)/s
	return r
}

// collect adds what the loops kept to themselves until they had ended.
func (r *run) collect(result *Result) {
	var all Histogram
	var failures tally
	for _, l := range r.loops {
		all.Add(&l.main)
		result.Unended += l.unended
		for _, f := range l.failures {
			failures.add(f)
			result.Errors += f.Count
		}
	}
	if len(failures) > 0 {
		result.Failures, result.FirstError = failures, failures[0].First
	}
	o := r.opts
	result.Workload, result.Connections, result.Threads = o.Workload, o.Connections, o.Threads
	result.Rate, result.BulkRate = o.Rate, o.BulkRate
	result.Latency = latency(&all)
}

// watch reports the progress each second.
func (r *run) watch(ctx context.Context) {
	if r.opts.Progress == nil {
		return
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	last := r.totals()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		m := r.totals()
		s := m.at.Sub(last.at).Seconds()
		from := r.phase.from.Load()
		r.opts.Progress(Progress{
			Elapsed: m.at.Sub(r.began), Open: m.open, Errors: m.errors,
			OperationsRate: float64(m.operations-last.operations) / s,
			BytesRate:      float64(m.bytes-last.bytes) / s,
			Measuring:      from != 0 && r.now() >= from,
		})
		last = m
	}
}
