package compare

import (
	"testing"
	"time"

	"sallyport/bench/peers"
	"sallyport/bench/report"
	"sallyport/bench/trial"
)

func TestOptionsAreChecked(t *testing.T) {
	good := Options{Suite: Comparison(), Plan: trial.Plan{Rounds: 1, Duration: time.Second, ProxyCPU: 1}}
	if err := good.Check(); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*Options){
		"one CPU for both":   func(o *Options) { o.LoadCPU = o.ProxyCPU },
		"no duration":        func(o *Options) { o.Duration = 0 },
		"a day":              func(o *Options) { o.Duration = 24 * time.Hour },
		"too many rounds":    func(o *Options) { o.Rounds = 1 << 20 },
		"unknown workload":   func(o *Options) { o.Only = []string{"nothing"} },
		"negative warm-up":   func(o *Options) { o.Warmup = -1 },
		"workload of growth": func(o *Options) { o.Only = []string{"request-8000"} },
	} {
		o := good
		spoil(&o)
		if o.Check() == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// Each workload has options that the generator takes, and its own name; the goals
// find theirs.
func TestWorkloadsAreWhole(t *testing.T) {
	names := map[string]bool{}
	for _, suite := range []Suite{Comparison(), Growth()} {
		for _, w := range suite.workloads {
			o := w.load
			o.Target = "127.0.0.1:1"
			if err := o.Check(); err != nil {
				t.Errorf("%s: %v", w.Name, err)
			}
			if names[w.Name] {
				t.Errorf("%s appears twice", w.Name)
			}
			names[w.Name] = true
			if w.forms[0] != peers.Gateway {
				t.Errorf("%s leaves the gateway out", w.Name)
			}
		}
	}
	for _, g := range report.Goals() {
		if !names[g.Workload] {
			t.Errorf("no workload for %+v", g)
		}
	}
}
