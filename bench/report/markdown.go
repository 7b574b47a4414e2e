package report

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"sallyport/bench/peers"
)

// WriteMarkdown writes the goals with their verdicts, and a table of each workload.
func (r *Results) WriteMarkdown(w io.Writer) {
	r.WriteHead(w, r.Rounds())
	if f := r.Foreign(); f.Rounds > 0 {
		fmt.Fprintf(w, "What else ran took %.1f %% of the machine's CPU time (median of the runs; at most %.1f %%).\n\n", f.Median, f.Max)
	}
	r.writeVerdicts(w)
	r.writeRatios(w)
	for _, wl := range r.Workloads {
		r.writeWorkload(w, wl)
	}
	r.writeRemarks(w)
}

// WriteHead says when, where, how and with what it was measured.
func (h *Head) WriteHead(w io.Writer, rounds int) {
	m := h.Machine
	fmt.Fprintf(w, "Measured on %s with `%s`: %d rounds, medians (min–max).\n\n", h.Started.Format(time.DateOnly), h.Command, rounds)
	if h.Quick {
		fmt.Fprint(w, "**A first look, in short rounds: not a result.**\n\n")
	}
	fmt.Fprintf(w, "Machine: %s, %d CPUs, %.1f GB, Linux %s.", m.CPU, m.CPUs, float64(m.Memory)/1e9, m.Kernel)
	for _, name := range slices.Sorted(maps.Keys(h.Versions)) {
		fmt.Fprintf(w, " %s %s.", name, h.Versions[name])
	}
	fmt.Fprint(w, "\n\n")
}

func (r *Results) writeVerdicts(w io.Writer) {
	verdicts := r.Verdicts()
	if len(verdicts) == 0 {
		return
	}
	fmt.Fprint(w, "| workload | figure | gateway | goal | reached | verdict |\n|---|---|---:|---:|---:|---|\n")
	for _, v := range verdicts {
		goal := format(v.Goal.Metric, v.Goal.Limit)
		reached := format(v.Goal.Metric, v.Figure)
		if v.Goal.Against != Nobody {
			goal = fmt.Sprintf("%.2f × %s", v.Goal.Limit, v.Goal.Against)
			reached = "–"
			if v.Against > 0 {
				reached = fmt.Sprintf("%.2f × %s of %s", v.Value(), format(v.Goal.Metric, v.Against), v.Peer)
			}
		}
		fmt.Fprintf(w, "| %s | %s | %s | ≤ %s | %s | %s |\n", r.title(v.Goal.Workload), r.metricTitle(v.Goal), format(v.Goal.Metric, v.Figure), goal, reached, v.State)
	}
	fmt.Fprintln(w)
}

func (r *Results) workload(name string) Workload {
	for _, w := range r.Workloads {
		if w.Name == name {
			return w
		}
	}
	return Workload{Name: name, Title: name}
}

func (r *Results) title(workload string) string { return r.workload(workload).Title }

func (r *Results) metricTitle(g Goal) string { return heading(g.Metric, r.workload(g.Workload).Unit) }

// metrics are the columns of a workload's table.
func metrics(u Unit) []Metric {
	if u == Idle {
		return []Metric{RSS, Descriptors}
	}
	return []Metric{Rate, Bulk, CPUPerUnit, MachinePerUnit, UserShare, P50, P99, P999}
}

func (r *Results) writeWorkload(w io.Writer, wl Workload) {
	var columns []Metric
	for _, m := range metrics(wl.Unit) { // bulk has no latency
		if slices.ContainsFunc(r.Proxies(wl.Name), func(p string) bool { return r.Figure(wl.Name, p, m).Rounds > 0 }) {
			columns = append(columns, m)
		}
	}
	fmt.Fprintf(w, "### %s\n\n", wl.Title)
	if len(columns) == 0 {
		fmt.Fprint(w, "Not measured.\n\n")
		return
	}
	fmt.Fprint(w, "| |")
	for _, m := range columns {
		fmt.Fprintf(w, " %s |", heading(m, wl.Unit))
	}
	fmt.Fprintf(w, "\n|---|%s\n", strings.Repeat("---:|", len(columns)))
	for _, p := range r.Proxies(wl.Name) {
		fmt.Fprintf(w, "| %s |", p)
		for _, m := range columns {
			fmt.Fprintf(w, " %s |", r.Figure(wl.Name, p, m).text(m))
		}
		fmt.Fprintln(w)
	}
	fmt.Fprintln(w)
	if n := r.registrations(wl.Name); n > 0 {
		fmt.Fprintf(w, "%d instances were registered meanwhile, in all rounds.\n\n", n)
	}
	own, bare := r.Figure(wl.Name, peers.Gateway, CPUPerUnit), r.Figure(wl.Name, BareTunnel, CPUPerUnit)
	if own.Rounds > 0 && bare.Rounds > 0 && own.Median > 0 {
		fmt.Fprintf(w, "The gateway's own share of its process: %s of %s, %.0f %%; the rest is its tunnel.\n\n",
			format(CPUPerUnit, own.Median-bare.Median), heading(CPUPerUnit, wl.Unit), 100*(1-bare.Median/own.Median))
	}
}

func (r *Results) registrations(workload string) int {
	n := 0
	for _, run := range r.Runs {
		if run.Workload == workload {
			n += run.Registrations
		}
	}
	return n
}

func (r *Results) writeRemarks(w io.Writer) {
	failures := r.Failures()
	if len(r.Notes)+len(failures) == 0 {
		return
	}
	fmt.Fprint(w, "### What went wrong\n\n")
	for _, n := range append(slices.Clone(r.Notes), failures...) {
		fmt.Fprintf(w, "- %s\n", strings.ReplaceAll(n, "\n", " "))
	}
	fmt.Fprintln(w)
}

// Line is one run for people.
func Line(w Workload, run Run) string {
	var parts []string
	for _, m := range metrics(w.Unit) {
		if v, ok := m.of(run.Result, w.Unit); ok {
			parts = append(parts, heading(m, w.Unit)+" "+format(m, v))
		}
	}
	if run.Result.Errors > 0 {
		parts = append(parts, fmt.Sprintf("%d errors: %s", run.Result.Errors, run.Result.FirstError))
	}
	return strings.Join(parts, ", ")
}

func heading(m Metric, u Unit) string {
	switch m {
	case CPUPerUnit, MachinePerUnit:
		if u == Gigabyte {
			return string(m) + " ms/GB"
		}
		return string(m) + " µs"
	case Rate:
		if u == Gigabyte {
			return "GB/s"
		}
		return "op/s"
	case Bulk:
		return "bulk MB/s"
	case RSS:
		return "bytes RSS"
	case UserShare:
		return "user space %"
	case Descriptors:
		return string(m)
	default:
		return string(m) + " µs"
	}
}

func (f Figure) text(m Metric) string {
	switch f.Rounds {
	case 0:
		return "–"
	case 1:
		return format(m, f.Median)
	}
	return fmt.Sprintf("%s (%s–%s)", format(m, f.Median), format(m, f.Min), format(m, f.Max))
}

// format writes a value with three digits that count.
func format(m Metric, v float64) string {
	switch {
	case m == Descriptors:
		return fmt.Sprintf("%.3f", v)
	case v >= 100 || v <= -100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10 || v <= -10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}
