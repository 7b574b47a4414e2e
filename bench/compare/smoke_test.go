package compare

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport/bench/peers"
	"sallyport/bench/report"
	"sallyport/bench/trial"
	"sallyport/internal/gwtest"
)

// TestSmoke runs everything for a moment: it works, and no figure is absurd. How fast
// anything is, it does not say.
func TestSmoke(t *testing.T) {
	gateway := gwtest.Build(t, "cmd/gateway")
	for _, suite := range []Suite{Comparison(), Growth()} {
		t.Run(suite.Name, func(t *testing.T) {
			o := Options{
				Plan:  trial.Plan{Gateway: gateway, Rounds: 1, Duration: 100 * time.Millisecond, ProxyCPU: 1, LoadCPU: 0},
				Suite: suite, Warmup: 50 * time.Millisecond, Shrink: 8,
				Fill: func(_ context.Context, dir string, _ int) error { return os.Mkdir(dir, 0o700) }, // a store without anybody
			}
			r, err := Run(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			if failures := r.Failures(); len(failures) > 0 {
				t.Errorf("%s", strings.Join(failures, "\n"))
			}
			// A busy machine may leave 100 ms with nothing that ended.
			if o.Only = empty(r); len(o.Only) > 0 {
				o.Duration = 3 * time.Second
				again, err := Run(t.Context(), o)
				if err != nil {
					t.Fatal(err)
				}
				r.Runs = append(slices.DeleteFunc(r.Runs, func(run report.Run) bool { return slices.Contains(o.Only, run.Workload) }), again.Runs...)
			}
			if len(r.Workloads) != len(suite.Names()) {
				t.Errorf("%d of %d workloads", len(r.Workloads), len(suite.Names()))
			}
			cpu := make(map[string]float64)
			for _, w := range r.Workloads {
				for _, p := range r.Proxies(w.Name) {
					plausible(t, r, w, p)
					cpu[p] += r.Figure(w.Name, p, report.CPUPerUnit).Median
				}
			}
			for p, sum := range cpu {
				if sum <= 0 {
					t.Errorf("%s took no CPU in any workload", p)
				}
			}
		})
	}
}

// empty names the workloads of which some proxy has no figure.
func empty(r *report.Results) []string {
	var names []string
	for _, w := range r.Workloads {
		m := report.CPUPerUnit
		if w.Unit == report.Idle {
			m = report.RSS
		}
		lacks := func(p string) bool { return r.Figure(w.Name, p, m).Rounds == 0 }
		if slices.ContainsFunc(r.Proxies(w.Name), lacks) {
			names = append(names, w.Name)
		}
	}
	return names
}

// plausible holds orders of magnitude, which no machine misses by being busy. CPU may be
// none: the kernel counts it in ticks of 10 ms, and what does little falls between them.
func plausible(t *testing.T, r *report.Results, w report.Workload, proxy string) {
	t.Helper()
	between := func(m report.Metric, low, high float64) {
		t.Helper()
		if f := r.Figure(w.Name, proxy, m); f.Rounds == 0 || f.Median < low || f.Median > high {
			t.Errorf("%s, %s: %s is %v, want %v to %v", w.Name, proxy, m, f.Median, low, high)
		}
	}
	switch w.Unit {
	case report.Idle:
		between(report.Descriptors, 1, 10)
		between(report.RSS, -100_000, 500_000) // a collection may give back more than was taken
	case report.Gigabyte:
		between(report.CPUPerUnit, 0, 1e6)
	default:
		between(report.CPUPerUnit, 0, 1e5)
		between(report.MachinePerUnit, 0, 1e6)
		between(report.P50, 5, 1e6)
	}
}

func TestCancelledRunLeavesNoProcess(t *testing.T) {
	if slices.Contains(peers.Missing(), "haproxy") {
		t.Skip("haproxy is not installed")
	}
	ctx, cancel := context.WithCancel(t.Context())
	o := Options{Suite: Comparison(), Plan: trial.Plan{
		Gateway: "/nonexistent", Only: []string{report.PassRequest50}, Rounds: 100, Duration: time.Minute, ProxyCPU: 1,
		Progress: func(string) { cancel() }, // when the gateway could not be started
	}}
	r, err := Run(ctx, o)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("the error is %v", err)
	}
	if r == nil || len(r.Runs) != 1 || r.Runs[0].Error == "" {
		t.Errorf("what there is: %+v", r)
	}
}
