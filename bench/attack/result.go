package attack

import (
	"fmt"
	"io"
	"time"
)

// A Result is what an attack has done. Its JSON form is what --json prints.
type Result struct {
	Form     Form    `json:"form"`
	Rate     float64 `json:"rate"`                // connections a second, as wanted
	BulkRate float64 `json:"bulk_rate,omitempty"` // bytes a second, as wanted
	Seconds  float64 `json:"seconds"`
	Opened   uint64  `json:"opened"` // connections that were made …
	Done     uint64  `json:"done"`   // … and did all that they were to do
	Cut      uint64  `json:"cut"`    // … or were ended by the target before
	MostOpen int64   `json:"most_open"`
	Failed   uint64  `json:"failed"` // connections that could not be made
	// FirstError is why one could not be made, or was ended.
	FirstError string `json:"first_error,omitempty"`
	Bytes      uint64 `json:"bytes"` // that were sent, with TLS but without handshakes
}

func (r *run) result() *Result {
	c, o := &r.counters, r.opts
	return &Result{
		Form: o.Form, Rate: o.Rate, BulkRate: o.BulkRate, Seconds: time.Since(r.began).Seconds(),
		Opened: c.opened.Load(), Done: c.done.Load(), Cut: c.cut.Load(), MostOpen: c.most.Load(),
		Failed: c.failed.Load(), FirstError: c.first, Bytes: c.bytes.Load(),
	}
}

// Write prints a summary for people.
func (r *Result) Write(w io.Writer) {
	fmt.Fprintf(w, "attack %s, %.1f s\n", r.Form, r.Seconds)
	fmt.Fprintf(w, "  connections %d made (%.0f/s of %.0f/s), at most %d at the same time\n", r.Opened, float64(r.Opened)/r.Seconds, r.Rate, r.MostOpen)
	fmt.Fprintf(w, "              %d did all, %d were ended by the target before, %d could not be made\n", r.Done, r.Cut, r.Failed)
	fmt.Fprintf(w, "  bytes       %d (%.0f/s", r.Bytes, float64(r.Bytes)/r.Seconds)
	if r.BulkRate > 0 {
		fmt.Fprintf(w, " of %.0f/s", r.BulkRate)
	}
	fmt.Fprintln(w, ")")
	if r.FirstError != "" {
		fmt.Fprintf(w, "  first error %s\n", r.FirstError)
	}
}
