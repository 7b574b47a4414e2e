package hostile

import (
	"bytes"
	"io"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport/bench/attack"
	"sallyport/bench/load"
	"sallyport/bench/peers"
	"sallyport/bench/report"
	"sallyport/bench/trial"
)

// Each attack has options that the attacker takes, and flags that say them.
func TestAttacksAreWhole(t *testing.T) {
	names := Names()
	for _, a := range assaults() {
		s := &site{peers: &peers.Site{Domain: domain}, dropped: &dropped{port: 9}}
		p := &peers.Process{Passthrough: addr, Terminated: addr}
		for _, proxy := range []string{peers.Gateway, peers.HAProxy} {
			o := s.aim(&a, proxy, p)
			if err := o.Check(); err != nil {
				t.Errorf("%s: %v", a.Name, err)
			}
		}
		if !strings.Contains(a.Flags, string(a.attack.Form)) || strings.Contains(a.Flags, "target") || a.Rate == "" {
			t.Errorf("%s: %q, %q", a.Name, a.Flags, a.Rate)
		}
		names = slices.DeleteFunc(names, func(n string) bool { return n == a.Name })
	}
	if len(names) > 0 {
		t.Errorf("not there: %v", names)
	}
	for _, form := range attack.Forms {
		if !slices.ContainsFunc(assaults(), func(a assault) bool { return a.attack.Form == form }) {
			t.Errorf("nobody is attacked with %s", form)
		}
	}
}

func TestOptionsAreChecked(t *testing.T) {
	good := Options{Plan: trial.Plan{Rounds: 1, Duration: time.Second, ProxyCPU: 1}}
	if err := good.Check(); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*Options){
		"one CPU for both": func(o *Options) { o.LoadCPU = o.ProxyCPU },
		"no duration":      func(o *Options) { o.Duration = 0 },
		"an hour":          func(o *Options) { o.Duration = time.Hour },
		"no round":         func(o *Options) { o.Rounds = 0 },
		"unknown attack":   func(o *Options) { o.Only = []string{"nothing"} },
	} {
		o := good
		spoil(&o)
		if o.Check() == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// one is what honest clients have seen in a round: p99 in µs, and failures.
type one struct {
	p99    float64
	failed uint64
}

// rounds is results of one attack: what clients of both kinds have seen beside it.
func rounds(all map[string][]one) *Results {
	r := &Results{Head: report.Head{Command: "measure hostile"}, Attacks: []Attack{{Name: "a", Title: "an attack", Rate: "1/s", Flags: "--workload=a"}}}
	for _, proxy := range []string{peers.Gateway, peers.HAProxy} {
		for round, seen := range all[proxy] {
			h := func(p99 float64, failed uint64) *Honest {
				l := &load.Result{Seconds: 1, Operations: 100, Failed: failed, Latency: load.Latency{Count: 100, P50: 200, P99: p99}}
				return &Honest{l, l}
			}
			r.Runs = append(r.Runs, OneRun{
				Attack: "a", Proxy: proxy, Round: round, Quiet: h(1000, 0), Beside: h(seen.p99, seen.failed), Did: &attack.Result{Seconds: 2, Opened: 10},
			})
		}
	}
	return r
}

func TestVerdict(t *testing.T) {
	type all = map[string][]one
	for _, test := range []struct {
		name string
		seen all
		want Verdict
	}{
		{"better", all{peers.Gateway: {{p99: 9}}, peers.HAProxy: {{p99: 10}}}, Holds},
		{"as good", all{peers.Gateway: {{p99: 10}}, peers.HAProxy: {{p99: 10}}}, Holds},
		{"worse", all{peers.Gateway: {{p99: 11}}, peers.HAProxy: {{p99: 10}}}, FallsShort},
		{"one bad round of three", all{peers.Gateway: {{p99: 5}, {p99: 99}, {p99: 6}}, peers.HAProxy: {{p99: 9}, {p99: 8}, {p99: 7}}}, Holds},
		{"within the rounds", all{peers.Gateway: {{p99: 7}, {p99: 9}, {p99: 9}}, peers.HAProxy: {{p99: 8}, {p99: 8}, {p99: 10}}}, Level},
		{"above every round", all{peers.Gateway: {{p99: 7}, {p99: 11}, {p99: 11}}, peers.HAProxy: {{p99: 8}, {p99: 8}, {p99: 10}}}, FallsShort},
		{"it fails", all{peers.Gateway: {{1, 10}}, peers.HAProxy: {{p99: 10}}}, FallsShort},
		{"the peer fails", all{peers.Gateway: {{p99: 99}}, peers.HAProxy: {{1, 10}}}, Holds},
		{"both fail", all{peers.Gateway: {{99, 10}}, peers.HAProxy: {{1, 20}}}, Holds},
		{"few failures", all{peers.Gateway: {{9, 1}}, peers.HAProxy: {{p99: 10}}}, Holds},
		{"no peer", all{peers.Gateway: {{p99: 9}}}, NotMeasured},
		{"no gateway", all{peers.HAProxy: {{p99: 9}}}, NotMeasured},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, k := range []Kind{Requests, Connections} {
				if got := rounds(test.seen).Judge("a", k); got != test.want {
					t.Errorf("%s: %s, want %s", k, got, test.want)
				}
			}
		})
	}
}

func TestNobodyServedIsNoGoodLatency(t *testing.T) {
	r := rounds(map[string][]one{peers.Gateway: {{1, 0}}, peers.HAProxy: {{10, 0}}})
	r.Runs[0].Beside.Requests.Latency = load.Latency{}
	if s := r.Beside("a", peers.Gateway, Requests); !math.IsInf(s.P99.Median, 1) || !strings.HasPrefix(s.text(true), "never") {
		t.Errorf("%+v: %s", s, s.text(true))
	}
	if got := r.Judge("a", Requests); got != FallsShort {
		t.Errorf("%s", got)
	}
}

// The file alone makes the table: what is read back renders the same.
func TestTableFollowsFromTheFile(t *testing.T) {
	r := rounds(map[string][]one{peers.Gateway: {{2000, 0}, {3000, 0}}, peers.HAProxy: {{40_000, 0}, {150_000, 7}}})
	r.Runs[2].Beside.Connections = &load.Result{Seconds: 1, Failed: 10, Latency: load.Latency{Count: 1, P50: 1, P99: 1}}
	r.Notes = []string{"it rained"}
	r.Runs = append(r.Runs, OneRun{Attack: "a", Proxy: peers.HAProxy, Round: 2, Error: "start haproxy: no"})
	var file, table, again bytes.Buffer
	r.WriteMarkdown(&table)
	if err := r.WriteJSON(&file); err != nil {
		t.Fatal(err)
	}
	read, err := Read(&file)
	if err != nil {
		t.Fatal(err)
	}
	if read.WriteMarkdown(&again); again.String() != table.String() {
		t.Error("it renders differently when it was read back")
	}
	for _, want := range []string{
		"| an attack | 1/s | request | 0.20 / 1.00 | 0.20 / 2.50 (2.00–3.00) |", "| 0.20 / 95.0 (40.0–150), 3.3 % fail | holds |", ", 53 % fail |",
		"`--workload=a` | gateway | 5 |", "start haproxy: no", "it rained",
	} {
		if !strings.Contains(table.String(), want) {
			t.Errorf("no %q in\n%s", want, &table)
		}
	}
	for _, run := range r.Runs {
		if text := run.String(); !strings.Contains(text, "attacked") && !strings.Contains(text, "start haproxy: no") {
			t.Errorf("%q", text)
		}
	}
}

func TestFileThatHidesARunIsRefused(t *testing.T) {
	for _, file := range []string{
		`{}`, `[]`, `{"attacks":[{"name":"a"}],"runs":[{"attack":"a","proxy":"b"}]}`,
		`{"attacks":[{"name":"a"}],"runs":[{"attack":"a","quiet":{"requests":{}},"beside":{},"did":{}}]}`,
	} {
		if r, err := Read(strings.NewReader(file)); err == nil {
			t.Errorf("%s: read as %+v", file, r)
		}
	}
}

func FuzzRead(f *testing.F) {
	var b bytes.Buffer
	_ = rounds(map[string][]one{peers.Gateway: {{1, 0}}, peers.HAProxy: {{2, 3}}}).WriteJSON(&b)
	f.Add(b.Bytes())
	f.Fuzz(func(_ *testing.T, b []byte) {
		if r, err := Read(bytes.NewReader(b)); err == nil {
			r.WriteMarkdown(io.Discard)
		}
	})
}
