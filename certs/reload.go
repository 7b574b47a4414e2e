package certs

import (
	"context"
	"fmt"
	"time"

	"sallyport/internal/certfile"
	"sallyport/internal/oneline"
)

// Following the files (package follow). They are read each time, which takes 27 µs per
// domain (BenchmarkLookAtUnchangedFiles). A pair proves itself: certificate and key are two
// files and are replaced one after the other, and between the two they do not match.

// Reload reads all files and serves those certificates that changed. A pair
// that is bad leaves the old one in place and is part of the error. It does
// not drop a connection.
func (x *Index) Reload() (changed int, err error) {
	x.changing.Lock()
	defer x.changing.Unlock()
	var problems []error
	for _, d := range x.table.Load().domains {
		replaced, err := x.reload(d)
		if replaced {
			changed++
		}
		problems = append(problems, err)
	}
	return changed, oneline.Join(problems...)
}

// reload reads the files of d, if it has some, and serves them if they are new and good.
func (x *Index) reload(d *domain) (changed bool, err error) {
	if d.source.From != "" {
		return false, d.source.check()
	}
	old := d.served.Load()
	f, err := readFiles(d.source)
	if err == nil && old != nil && f.sum == old.sum && certfile.CheckKeyMode(f.keyMode) == nil {
		return false, nil
	}
	var p *pair
	var warnings []string
	if err == nil {
		p, warnings, err = checkPair(f, d.source, time.Now())
	}
	switch {
	case err != nil && old == nil:
		return false, fmt.Errorf("certificate of %s: %w", d.source.Domain, err)
	case err != nil:
		x.failed.Inc()
		return false, fmt.Errorf("certificate of %s: not replaced; the one valid until %s stays in use: %w",
			d.source.Domain, old.cert.Leaf.NotAfter.UTC().Format(time.RFC3339), err)
	}
	d.served.Store(p)
	for _, w := range warnings {
		x.opts.Log.Warn("certificate chain has a problem", "domain", d.source.Domain, "file", d.source.CertFile, "problem", w)
	}
	return true, nil
}

// Run follows the files and rotates the ticket keys until ctx ends; it returns
// nil then. Problems are logged, each once.
func (x *Index) Run(ctx context.Context) error {
	tick := time.NewTicker(x.opts.Interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-tick.C:
			x.follow()
			x.rotateTickets(now)
		}
	}
}

// rotateTickets gives all domains a new ticket key when it is time.
func (x *Index) rotateTickets(now time.Time) {
	x.changing.Lock()
	defer x.changing.Unlock()
	if x.tickets.due(now) {
		x.tickets.rotate(now)
		x.tickets.give(x.table.Load().domains)
	}
}

// follow reloads each domain.
func (x *Index) follow() {
	x.changing.Lock()
	defer x.changing.Unlock()
	for _, d := range x.table.Load().domains {
		changed, err := x.reload(d)
		if changed {
			leaf := d.served.Load().cert.Leaf
			x.opts.Log.Info("certificate replaced", "domain", d.source.Domain, "not_after", leaf.NotAfter, "serial", leaf.SerialNumber.Text(16))
		}
		if d.problem.IsNew(err) {
			x.opts.Log.Warn("certificate not replaced", "domain", d.source.Domain, "error", err)
		}
	}
}
