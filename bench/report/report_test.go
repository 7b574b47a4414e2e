package report

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"strings"
	"testing"
	"time"

	"sallyport/bench/load"
	"sallyport/bench/peers"
)

// costs is results of one workload: what an operation costs each proxy, in µs of CPU,
// round by round.
func costs(workload string, unit Unit, all map[string][]float64) *Results {
	r := &Results{
		Head:      Head{Machine: Machine{CPU: "test", CPUs: 2}, Started: time.Unix(0, 0).UTC(), Command: "measure compare"},
		Workloads: []Workload{{Name: workload, Title: "<" + workload + "> & more", Unit: unit}},
	}
	for _, f := range peers.Forms() {
		for round, cost := range all[f.Name] {
			r.Runs = append(r.Runs, Run{Workload: workload, Proxy: f.Name, Round: round, Result: &load.Result{
				Seconds: 2, Operations: 1e6, Bytes: 1e9, CPU: load.CPU{Process: cost, Machine: 2 * cost},
			}})
		}
	}
	return r
}

func TestFigureIsMedianWithExtremes(t *testing.T) {
	r := costs(PassRequest50, Operation, map[string][]float64{
		peers.Gateway: {9, 30, 8, 10, 7}, peers.HAProxy: {10, 20},
	})
	if got, want := r.Figure(PassRequest50, peers.Gateway, CPUPerUnit), (Figure{9, 7, 30, 5}); got != want {
		t.Errorf("five rounds: %+v, want %+v", got, want)
	}
	if got, want := r.Figure(PassRequest50, peers.HAProxy, MachinePerUnit), (Figure{30, 20, 40, 2}); got != want {
		t.Errorf("two rounds: %+v, want %+v", got, want)
	}
	if got := r.Figure(PassRequest50, peers.Nginx, CPUPerUnit); got.Rounds != 0 {
		t.Errorf("a proxy that did not run has %+v", got)
	}
}

func TestUserShareIsThatOfAllRounds(t *testing.T) {
	r := costs(PassRequest50, Operation, map[string][]float64{peers.Gateway: {1, 1, 2}})
	for i, user := range []float64{0.03, 0.05, 0.2} {
		r.Runs[i].Result.CPU.ProcessUser = user
	}
	f := r.Figure(PassRequest50, peers.Gateway, UserShare)
	if math.Abs(f.Median-7) > 1e-9 || f.Min != 3 || f.Max != 10 || f.Rounds != 3 {
		t.Errorf("0.28 of 4 s in user space, in rounds of 3, 5 and 10 %%: %+v", f)
	}
}

func TestUnitOfBulkIsGigabyte(t *testing.T) {
	r := costs(PassBulk16, Gigabyte, map[string][]float64{peers.Gateway: {0.2}})
	if got := r.Figure(PassBulk16, peers.Gateway, CPUPerUnit).Median; got != 200 {
		t.Errorf("0.2 s for 1 GB is %v ms/GB", got)
	}
	if got := r.Figure(PassBulk16, peers.Gateway, Rate).Median; got != 0.5 {
		t.Errorf("1 GB in 2 s is %v GB/s", got)
	}
}

func TestBulkBesideOperationsIsTold(t *testing.T) {
	all := map[string][]float64{peers.Gateway: {0.2}}
	if got := costs(PassMixed, Operation, all).Figure(PassMixed, peers.Gateway, Bulk).Median; got != 500 {
		t.Errorf("1 GB in 2 s beside requests is %v MB/s", got)
	}
	if f := costs(PassBulk16, Gigabyte, all).Figure(PassBulk16, peers.Gateway, Bulk); f.Rounds != 0 {
		t.Errorf("bulk alone has its rate twice: %+v", f)
	}
}

// What the machine does to a round it does to both.
func TestRatioIsThatOfEachRound(t *testing.T) {
	r := costs(PassRequest50, Operation, map[string][]float64{peers.Gateway: {11, 110, 10}})
	for round, cost := range []float64{10, 100, 10} {
		r.Runs = append(r.Runs, Run{Workload: PassRequest50, Proxy: peers.Before, Round: round, Result: &load.Result{
			Seconds: 1, Operations: 1e6, CPU: load.CPU{Process: cost},
		}})
	}
	if f := r.Ratio(PassRequest50, CPUPerUnit); f.Rounds != 3 || math.Abs(f.Median-1.1) > 1e-9 || f.Min != 1 {
		t.Errorf("%+v", f)
	}
	if f := r.Ratio(PassRequest50, RSS); f.Rounds != 0 {
		t.Errorf("memory of no idle connection: %+v", f)
	}
	var b bytes.Buffer
	r.WriteMarkdown(&b)
	if text := b.String(); !strings.Contains(text, "| 1.100 (1.000–1.100) |") || strings.Contains(text, "verdict") {
		t.Errorf("%s", text)
	}
}

func TestVerdict(t *testing.T) {
	type all = map[string][]float64
	for _, test := range []struct {
		name     string
		workload string
		costs    all
		want     State
		peer     string
	}{
		{"just reached", PassRequest50, all{peers.Gateway: {9.3}, peers.HAProxy: {12}, peers.Nginx: {10}}, Holds, peers.Nginx},
		{"just missed", PassRequest50, all{peers.Gateway: {9.4}, peers.HAProxy: {10}, peers.Nginx: {12}}, FallsShort, peers.HAProxy},
		{"one good round is not enough", PassRequest50, all{peers.Gateway: {1, 11, 11}, peers.Nginx: {10, 10, 10}}, FallsShort, peers.Nginx},
		{"no peer", PassRequest50, all{peers.Gateway: {9}}, NotMeasured, ""},
		{"no gateway", PassRequest50, all{peers.Nginx: {9}}, NotMeasured, BestPeer},
		{"against one form, not a better one", PassBulk16, all{peers.Gateway: {10}, peers.HAProxyPipes: {10}, peers.Nginx: {1}}, Holds, peers.HAProxyPipes},
		{"the form did not run", PassBulk16, all{peers.Gateway: {10}, peers.Nginx: {1}}, NotMeasured, peers.HAProxyPipes},
	} {
		t.Run(test.name, func(t *testing.T) {
			v := costs(test.workload, Operation, test.costs).Verdicts()[0]
			if v.State != test.want || v.Peer != test.peer {
				t.Errorf("%s against %q, want %s against %q", v.State, v.Peer, test.want, test.peer)
			}
		})
	}
}

func TestAbsoluteGoalNeedsNoPeer(t *testing.T) {
	for rss, want := range map[float64]State{600: Holds, 601: FallsShort} {
		r := &Results{Workloads: []Workload{{Name: PassIdle, Unit: Idle}}, Runs: []Run{{
			Workload: PassIdle, Proxy: peers.Gateway, Result: &load.Result{Idle: &load.Idling{RSS: rss, Descriptors: 2}},
		}}}
		for _, v := range r.Verdicts() {
			if v.Goal.Metric == RSS && v.State != want {
				t.Errorf("%v bytes: %s, want %s", rss, v.State, want)
			}
		}
	}
}

func TestEveryGoalIsAboutKnownProxies(t *testing.T) {
	known := map[string]bool{BestPeer: true, Nobody: true}
	for _, f := range peers.Forms() {
		known[f.Name] = f.Name != peers.Gateway
	}
	for _, g := range Goals() {
		if !known[g.Against] || g.Limit <= 0 {
			t.Errorf("%+v", g)
		}
	}
}

// The file alone makes the table: what is read back renders the same.
func TestTableAndChartFollowFromTheFile(t *testing.T) {
	r := costs(PassRequest50, Operation, map[string][]float64{peers.Gateway: {9, 8}, peers.HAProxy: {40, 50}})
	r.Runs = append(r.Runs, Run{Workload: PassRequest50, Proxy: peers.Nginx, Error: "start nginx: no"})
	render := func(r *Results) string {
		var b bytes.Buffer
		r.WriteMarkdown(&b)
		r.WriteSVG(&b)
		return b.String()
	}
	var file bytes.Buffer
	if err := r.WriteJSON(&file); err != nil {
		t.Fatal(err)
	}
	again, err := Read(&file)
	if err != nil {
		t.Fatal(err)
	}
	text := render(again)
	if text != render(r) {
		t.Error("it renders differently when it was read back")
	}
	for _, want := range []string{"| 0.19 × 45.0 of haproxy | holds |", "| 8.50 (8.00–9.00) |", "start nginx: no", "(5.29 ×) →"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	var svg bytes.Buffer
	again.WriteSVG(&svg)
	wellFormed(t, &svg)
}

func wellFormed(t *testing.T, r io.Reader) {
	t.Helper()
	d := xml.NewDecoder(r)
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

func TestFileThatHidesARunIsRefused(t *testing.T) {
	for _, file := range []string{
		`{}`, `[]`, `{"workloads":[{"name":"a"}],"runs":[{"workload":"a","proxy":"b"}]}`,
		`{"workloads":[{"name":"a"}],"runs":[{"error":"x","result":{}}]}`,
	} {
		if r, err := Read(strings.NewReader(file)); err == nil {
			t.Errorf("%s: read as %+v", file, r)
		}
	}
}

func FuzzRead(f *testing.F) {
	var b bytes.Buffer
	_ = costs(PassBulk1, Gigabyte, map[string][]float64{peers.Gateway: {1}, peers.HAProxy: {2}}).WriteJSON(&b)
	f.Add(b.Bytes())
	f.Add([]byte(`{"workloads":[{"name":"passthrough-idle","unit":"idle connection"}],"runs":[{"workload":"passthrough-idle","proxy":"gateway","result":{"seconds":-1,"idle":{"rss_bytes_per_connection":-1e300}}}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := Read(bytes.NewReader(b))
		if err != nil {
			return
		}
		var svg bytes.Buffer
		r.WriteMarkdown(io.Discard)
		r.WriteSVG(&svg)
		wellFormed(t, &svg)
	})
}
