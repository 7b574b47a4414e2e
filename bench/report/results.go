package report

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"sallyport/bench/load"
)

// Results are one comparison: every round of every proxy under every workload.
type Results struct {
	Head
	Workloads []Workload `json:"workloads"`
	Runs      []Run      `json:"runs"`
}

// A Head is what every measurement says of itself.
type Head struct {
	Machine  Machine           `json:"machine"`
	Started  time.Time         `json:"started"`
	Ended    time.Time         `json:"ended"`
	Command  string            `json:"command"` // repeats it
	Versions map[string]string `json:"versions"`
	Quick    bool              `json:"quick,omitempty"` // one short round: a first look, not a result
	Notes    []string          `json:"notes,omitempty"` // what could not be done
}

// A Machine is where the figures come from.
type Machine struct {
	CPU    string `json:"cpu"`
	CPUs   int    `json:"cpus"`
	Memory int64  `json:"memory_bytes"`
	Kernel string `json:"kernel"`
}

// A Workload is one line of the comparison.
type Workload struct {
	Name  string `json:"name"`
	Title string `json:"title"`
	// Unit is what CPU time is divided by: Operation or Gigabyte.
	Unit Unit `json:"unit"`
}

// A Unit is a unit of work.
type Unit string

// The units of work.
const (
	Operation Unit = "operation"
	Gigabyte  Unit = "GB"
	Idle      Unit = "idle connection"
)

// A Run is one proxy under one workload in one round.
type Run struct {
	Workload string  `json:"workload"`
	Proxy    string  `json:"proxy"`
	Round    int     `json:"round"`
	Rate     float64 `json:"rate,omitempty"` // operations a second that were asked for
	// Registrations of new instances that the gateway served meanwhile.
	Registrations int          `json:"registrations,omitempty"`
	Result        *load.Result `json:"result,omitempty"`
	Error         string       `json:"error,omitempty"` // without a Result
}

// MadeBy notes by which command the results were made, and whether in a hurry.
func (h *Head) MadeBy(command string, quick bool) { h.Command, h.Quick = command, quick }

// Read reads the JSON form.
func Read(r io.Reader) (*Results, error) {
	var res Results
	if err := ReadJSON(r, &res); err != nil {
		return nil, err
	}
	for _, run := range res.Runs {
		if (run.Result == nil) == (run.Error == "") {
			return nil, fmt.Errorf("results: the run of %s under %s, round %d, has neither result nor error, or both", run.Proxy, run.Workload, run.Round)
		}
	}
	if len(res.Workloads) == 0 {
		return nil, errors.New("results: no workload")
	}
	return &res, nil
}

// WriteJSON writes the form that Read reads.
func (r *Results) WriteJSON(w io.Writer) error { return WriteJSON(w, r) }

// Proxies are those that ran under a workload, in order of their first run.
func (r *Results) Proxies(workload string) []string {
	var names []string
	for _, run := range r.Runs {
		if run.Workload == workload && !slices.Contains(names, run.Proxy) {
			names = append(names, run.Proxy)
		}
	}
	return names
}

// Rounds is the largest number of rounds that a workload had.
func (r *Results) Rounds() int {
	n := 0
	for _, run := range r.Runs {
		n = max(n, run.Round+1)
	}
	return n
}

// Incomplete returns the error of the first run that has no result, or nil.
func (r *Results) Incomplete() error {
	for _, run := range r.Runs {
		if run.Error != "" {
			return fmt.Errorf("%s, %s: %s", run.Workload, run.Proxy, run.Error)
		}
	}
	return nil
}

// Failures are the runs that ended with an error, or had errors in them.
func (r *Results) Failures() []string {
	var list []string
	for _, run := range r.Runs {
		where := fmt.Sprintf("%s, %s, round %d", run.Workload, run.Proxy, run.Round+1)
		switch {
		case run.Error != "":
			list = append(list, where+": "+run.Error)
		case run.Result.Errors > 0:
			list = append(list, fmt.Sprintf("%s: %d errors beside %d operations, the first: %s", where, run.Result.Errors, run.Result.Operations, run.Result.FirstError))
		}
	}
	return list
}
