package report

import (
	"fmt"
	"io"
	"slices"

	"sallyport/bench/peers"
)

// Ratio is a metric of the gateway divided by that of the one before, round by round: what
// else the machine does falls on both runs of a round.
func (r *Results) Ratio(workload string, m Metric) Figure {
	w := r.workload(workload)
	if !slices.Contains(metrics(w.Unit), m) {
		return Figure{}
	}
	value := func(proxy string, round int) (float64, bool) {
		for _, run := range r.Runs {
			if run.Workload == workload && run.Proxy == proxy && run.Round == round && run.Result != nil {
				return m.of(run.Result, w.Unit)
			}
		}
		return 0, false
	}
	var all []float64
	for round := range r.Rounds() {
		now, ok1 := value(peers.Gateway, round)
		before, ok2 := value(peers.Before, round)
		if ok1 && ok2 && before > 0 {
			all = append(all, now/before)
		}
	}
	return NewFigure(all)
}

func (r *Results) hasBefore() bool {
	return slices.ContainsFunc(r.Runs, func(run Run) bool { return run.Proxy == peers.Before })
}

// ratios are the columns of the table of ratios.
var ratios = []Metric{CPUPerUnit, MachinePerUnit, Rate, P50, P99, RSS}

func (r *Results) writeRatios(w io.Writer) {
	if !r.hasBefore() {
		return
	}
	fmt.Fprint(w, "The gateway divided by the one before, round by round:\n\n| workload |")
	for _, m := range ratios {
		fmt.Fprintf(w, " %s |", m)
	}
	fmt.Fprint(w, "\n|---|---:|---:|---:|---:|---:|---:|\n")
	for _, wl := range r.Workloads {
		fmt.Fprintf(w, "| %s |", wl.Title)
		for _, m := range ratios {
			fmt.Fprintf(w, " %s |", r.Ratio(wl.Name, m).text(Descriptors)) // three digits
		}
		fmt.Fprintln(w)
	}
	fmt.Fprintln(w)
}
