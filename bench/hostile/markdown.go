package hostile

import (
	"fmt"
	"io"
	"math"
	"strings"

	"sallyport/bench/attack"
	"sallyport/bench/peers"
	"sallyport/bench/report"
)

// WriteMarkdown writes what honest clients have seen, and what the attacks have done.
func (r *Results) WriteMarkdown(w io.Writer) {
	r.WriteHead(w, r.rounds())
	fmt.Fprintf(w, `Honest clients: %d requests/s over %d connections that are up, and %d new connections/s. p50 and p99 in ms, "quiet" just before the
attack and "attacked" beside it. Each proxy has one thread and %d descriptors. "Fail" is the share of the clients' connections that failed, which
are not in p50 and p99; from %.0f %% on, the verdict is about them. "Level": the medians differ by less than the rounds.

`, requestRate, requestConns, connectRate, descriptors, failing)
	fmt.Fprint(w, "| attack | rate | honest client | gateway, quiet | attacked | HAProxy, quiet | attacked | verdict |\n|---|---|---|---:|---:|---:|---:|---|\n")
	for _, a := range r.Attacks {
		for _, k := range []Kind{Requests, Connections} {
			fmt.Fprintf(w, "| %s | %s | %s |", a.Title, a.Rate, k)
			for _, p := range []string{peers.Gateway, peers.HAProxy} {
				fmt.Fprintf(w, " %s | %s |", r.Quiet(a.Name, p, k).text(false), r.Beside(a.Name, p, k).text(true))
			}
			fmt.Fprintf(w, " %s |\n", r.Judge(a.Name, k))
		}
	}
	fmt.Fprintln(w)
	r.writeAttacks(w)
	if failures := r.Failures(); len(failures) > 0 {
		fmt.Fprint(w, "### What went wrong\n\n")
		for _, f := range failures {
			fmt.Fprintf(w, "- %s\n", strings.ReplaceAll(f, "\n", " "))
		}
		fmt.Fprintln(w)
	}
}

// writeAttacks writes what the attacks have done, and what it cost.
func (r *Results) writeAttacks(w io.Writer) {
	fmt.Fprint(w, "### What the attacks did\n\nEach is `gateway bench load` with these flags. \"Cut\" connections were ended by the proxy, \"failed\" ones not made. CPU is the "+
		"proxy's share of\na core, and that of all else on the machine: clients, backend and attackers have one core, and near 100 % wait for themselves.\n\n")
	fmt.Fprint(w, "| attack | proxy | connections/s | open at most | kB/s | cut | failed | proxy CPU % | else % |\n|---|---|---:|---:|---:|---:|---:|---:|---:|\n")
	for _, a := range r.Attacks {
		for i, p := range []string{peers.Gateway, peers.HAProxy} {
			flags := "`" + a.Flags + "`"
			if i > 0 {
				flags = ""
			}
			fmt.Fprintf(w, "| %s | %s |", flags, p)
			for _, of := range []func(*OneRun) float64{
				did(func(d *attack.Result) float64 { return float64(d.Opened) / d.Seconds }),
				did(func(d *attack.Result) float64 { return float64(d.MostOpen) }),
				did(func(d *attack.Result) float64 { return float64(d.Bytes) / 1e3 / d.Seconds }),
				did(func(d *attack.Result) float64 { return float64(d.Cut) }),
				did(func(d *attack.Result) float64 { return float64(d.Failed) }),
				func(run *OneRun) float64 { return 100 * run.Beside.Requests.CPU.Process / run.Beside.Requests.Seconds },
				func(run *OneRun) float64 {
					c := run.Beside.Requests.CPU
					return 100 * (c.Machine - c.Process) / run.Beside.Requests.Seconds
				},
			} {
				fmt.Fprintf(w, " %s |", r.median(a.Name, p, of))
			}
			fmt.Fprintln(w)
		}
	}
	fmt.Fprintln(w)
}

func did(of func(*attack.Result) float64) func(*OneRun) float64 {
	return func(run *OneRun) float64 { return of(run.Did) }
}

// median is a figure of the whole runs.
func (r *Results) median(attack, proxy string, of func(*OneRun) float64) string {
	var all []float64
	for i := range r.Runs {
		if run := &r.Runs[i]; run.Attack == attack && run.Proxy == proxy && run.whole() {
			all = append(all, of(run))
		}
	}
	if len(all) == 0 {
		return "–"
	}
	return fmt.Sprintf("%.0f", report.NewFigure(all).Median)
}

// text is such as "0.21 / 1.40 (1.10–2.00), 3 % fail".
func (s Seen) text(extremes bool) string {
	if s.P99.Rounds == 0 {
		return "–"
	}
	t := milliseconds(s.P50.Median) + " / " + milliseconds(s.P99.Median)
	if extremes && s.P99.Rounds > 1 {
		t += fmt.Sprintf(" (%s–%s)", milliseconds(s.P99.Min), milliseconds(s.P99.Max))
	}
	switch f := s.Failed.Median; {
	case f >= 9.5:
		t += fmt.Sprintf(", %.0f %% fail", f)
	case f > 0:
		t += fmt.Sprintf(", %.2g %% fail", f)
	}
	return t
}

func milliseconds(us float64) string {
	switch {
	case math.IsInf(us, 1):
		return "never"
	case us >= 99_950:
		return fmt.Sprintf("%.0f", us/1e3)
	case us >= 9_995:
		return fmt.Sprintf("%.1f", us/1e3)
	}
	return fmt.Sprintf("%.2f", us/1e3)
}

// String is the run for people.
func (r *OneRun) String() string {
	head := fmt.Sprintf("%-12s %-8s %d", r.Attack, r.Proxy, r.Round+1)
	if r.Error != "" {
		return head + "  " + r.Error
	}
	one := Results{Runs: []OneRun{*r}}
	for _, k := range []Kind{Requests, Connections} {
		head += fmt.Sprintf("  %s: %s, attacked %s", k, one.Quiet(r.Attack, r.Proxy, k).text(false), one.Beside(r.Attack, r.Proxy, k).text(false))
	}
	return head
}
