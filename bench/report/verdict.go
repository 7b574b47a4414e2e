package report

import "sallyport/bench/peers"

// A Verdict is a goal, judged.
type Verdict struct {
	Goal    Goal
	Figure  float64 // the gateway's
	Against float64 // the other's; 0 if the limit is absolute
	Peer    string  // the other
	State   State
}

// A State is how a goal stands.
type State string

// The states of a goal.
const (
	Holds       State = "holds"
	FallsShort  State = "falls short"
	NotMeasured State = "not measured"
)

// Value is what Goal.Limit is compared with.
func (v Verdict) Value() float64 {
	if v.Goal.Against == Nobody {
		return v.Figure
	}
	return v.Figure / v.Against
}

// Verdicts judges those of all goals whose workload is in the results, by the medians
// of their rounds.
func (r *Results) Verdicts() []Verdict {
	var list []Verdict
	if r.hasBefore() {
		return nil // its peer is the gateway itself
	}
	for _, g := range Goals() {
		if r.has(g.Workload) {
			list = append(list, r.judge(g))
		}
	}
	return list
}

func (r *Results) has(workload string) bool {
	for _, w := range r.Workloads {
		if w.Name == workload {
			return true
		}
	}
	return false
}

func (r *Results) judge(g Goal) Verdict {
	v := Verdict{Goal: g, State: NotMeasured, Peer: g.Against}
	own := r.Figure(g.Workload, peers.Gateway, g.Metric)
	if own.Rounds == 0 {
		return v
	}
	v.Figure = own.Median
	switch g.Against {
	case Nobody:
	case BestPeer:
		v.Peer, v.Against = r.Best(g.Workload, g.Metric)
	default:
		v.Against = r.Figure(g.Workload, g.Against, g.Metric).Median
	}
	if g.Against != Nobody && v.Against <= 0 {
		return v
	}
	v.State = FallsShort
	if v.Value() <= g.Limit {
		v.State = Holds
	}
	return v
}

// Best is the peer with the smallest figure, and the figure; 0 is none.
func (r *Results) Best(workload string, m Metric) (peer string, least float64) {
	for _, p := range r.Proxies(workload) {
		f := r.Figure(workload, p, m)
		if p == peers.Gateway || f.Rounds == 0 || peer != "" && f.Median >= least {
			continue
		}
		peer, least = p, f.Median
	}
	return peer, least
}
