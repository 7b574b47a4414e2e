package hostile

import (
	"errors"
	"fmt"
	"io"
	"math"
	"slices"

	"sallyport/bench/attack"
	"sallyport/bench/load"
	"sallyport/bench/peers"
	"sallyport/bench/report"
)

// Results are every round of every attack on every proxy.
type Results struct {
	report.Head
	Attacks []Attack `json:"attacks"`
	Runs    []OneRun `json:"runs"`
}

// An Attack is one line of the comparison.
type Attack struct {
	Name  string `json:"name"`
	Title string `json:"title"`
	Rate  string `json:"rate"`  // as stated
	Flags string `json:"flags"` // of gateway bench load
}

// A OneRun is one proxy under one attack in one round.
type OneRun struct {
	Attack string         `json:"attack"`
	Proxy  string         `json:"proxy"`
	Round  int            `json:"round"`
	Quiet  *Honest        `json:"quiet,omitempty"`  // without the attack, just before
	Beside *Honest        `json:"beside,omitempty"` // beside it
	Did    *attack.Result `json:"did,omitempty"`
	Error  string         `json:"error,omitempty"` // then there is nothing else
}

// Honest is what honest clients have seen.
type Honest struct {
	Requests    *load.Result `json:"requests"`    // over connections that are up
	Connections *load.Result `json:"connections"` // new ones, a request and its reply on each
}

// Read reads the JSON form.
func Read(r io.Reader) (*Results, error) {
	var res Results
	if err := report.ReadJSON(r, &res); err != nil {
		return nil, err
	}
	if len(res.Attacks) == 0 {
		return nil, errors.New("results: no attack")
	}
	for _, run := range res.Runs {
		if !run.whole() && run.Error == "" {
			return nil, fmt.Errorf("results: %s, %s, round %d, has neither figures nor an error", run.Attack, run.Proxy, run.Round)
		}
	}
	return &res, nil
}

// WriteJSON writes the form that Read reads.
func (r *Results) WriteJSON(w io.Writer) error { return report.WriteJSON(w, r) }

func (r *OneRun) whole() bool { return r.Did != nil && r.Quiet.whole() && r.Beside.whole() }
func (h *Honest) whole() bool { return h != nil && h.Requests != nil && h.Connections != nil }

// A Kind is what an honest client does.
type Kind string

// The kinds.
const (
	Requests    Kind = "request"
	Connections Kind = "new connection"
)

func (h *Honest) of(k Kind) *load.Result {
	if k == Requests {
		return h.Requests
	}
	return h.Connections
}

// A Seen is what honest clients of one kind have seen of a proxy, over the rounds.
type Seen struct {
	P50, P99 report.Figure // µs
	// Failed is the share of those that failed, in percent. They are not in P50 and P99.
	Failed report.Figure
}

// seen computes what the clients of the runs of a proxy under an attack have seen.
func (r *Results) seen(attack, proxy string, k Kind, when func(*OneRun) *Honest) Seen {
	var p50, p99, failed []float64
	for i := range r.Runs {
		run := &r.Runs[i]
		if run.Attack != attack || run.Proxy != proxy || !run.whole() {
			continue
		}
		l := when(run).of(k)
		share := 0.0
		if l.Failed > 0 {
			share = 100 * float64(l.Failed) / float64(l.Failed+l.Operations)
		}
		failed = append(failed, share)
		if l.Latency.Count > 0 {
			p50, p99 = append(p50, l.Latency.P50), append(p99, l.Latency.P99)
		} else { // nobody was served at all
			p50, p99 = append(p50, math.Inf(1)), append(p99, math.Inf(1))
		}
	}
	return Seen{P50: report.NewFigure(p50), P99: report.NewFigure(p99), Failed: report.NewFigure(failed)}
}

// Quiet and Beside are what clients have seen without an attack and beside it.
func (r *Results) Quiet(attack, proxy string, k Kind) Seen {
	return r.seen(attack, proxy, k, func(run *OneRun) *Honest { return run.Quiet })
}

// Beside is what clients have seen beside an attack.
func (r *Results) Beside(attack, proxy string, k Kind) Seen {
	return r.seen(attack, proxy, k, func(run *OneRun) *Honest { return run.Beside })
}

// A Verdict is whether an honest client of the gateway is as well off as one of HAProxy.
type Verdict string

// The verdicts.
const (
	Holds       Verdict = "holds"
	Level       Verdict = "level" // the medians differ by less than the rounds
	FallsShort  Verdict = "falls short"
	NotMeasured Verdict = "not measured"
)

// failing is the share of failures, in percent, from which they count and not the p99 of
// the rest.
const failing = 1.0

// Judge compares what the clients of the gateway have seen with those of HAProxy.
func (r *Results) Judge(attack string, k Kind) Verdict {
	own, peer := r.Beside(attack, peers.Gateway, k), r.Beside(attack, peers.HAProxy, k)
	switch {
	case own.P99.Rounds == 0 || peer.P99.Rounds == 0:
		return NotMeasured
	case own.Failed.Median >= failing:
		return judge(own.Failed, peer.Failed)
	case peer.Failed.Median >= failing:
		return Holds
	}
	return judge(own.P99, peer.P99)
}

func judge(own, peer report.Figure) Verdict {
	switch {
	case own.Median <= peer.Median:
		return Holds
	case own.Min <= peer.Median && own.Median <= peer.Max:
		return Level
	}
	return FallsShort
}

// Failures are the runs that could not be made.
func (r *Results) Failures() []string {
	list := slices.Clone(r.Notes)
	for _, run := range r.Runs {
		if run.Error != "" {
			list = append(list, fmt.Sprintf("%s, %s, round %d: %s", run.Attack, run.Proxy, run.Round+1, run.Error))
		}
	}
	return list
}

// Incomplete returns the first of the failures, or nil.
func (r *Results) Incomplete() error {
	if failures := r.Failures(); len(failures) > 0 {
		return errors.New(failures[0])
	}
	return nil
}

// rounds is the largest number of rounds.
func (r *Results) rounds() int {
	n := 0
	for _, run := range r.Runs {
		n = max(n, run.Round+1)
	}
	return n
}
