package certs

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Following the files. They are compared by content, each time: that takes
// 27 µs per domain (BenchmarkLookAtUnchangedFiles), while modification time,
// size and inode miss a file that is rewritten in place within the granularity
// of its clock.
//
// Certificate and key are two files and are replaced one after the other.
// Between the two they do not match, and the old pair stays; the next look
// finds both.

// Reload reads all files and serves those certificates that changed. A pair
// that is bad leaves the old one in place and is part of the error. It does
// not drop a connection.
func (x *Index) Reload() (changed int, err error) {
	x.reloading.Lock()
	defer x.reloading.Unlock()
	var problems []error
	for _, d := range x.domains {
		replaced, err := x.reload(d)
		if replaced {
			changed++
		}
		problems = append(problems, err)
	}
	return changed, errors.Join(problems...)
}

// reload reads the files of d and serves them if they are new and good.
func (x *Index) reload(d *domain) (changed bool, err error) {
	old := d.served.Load()
	f, err := readFiles(d.source)
	if err == nil && old != nil && f.sum == old.sum {
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
		return false, fmt.Errorf("certificate of %s: not replaced, the one valid until %s stays: %w",
			d.source.Domain, old.cert.Leaf.NotAfter.UTC().Format(time.RFC3339), err)
	}
	d.served.Store(p)
	if f.keyMode.Perm()&0o044 != 0 {
		x.opts.Log.Warn("private key can be read by others: chmod 600", "domain", d.source.Domain, "file", d.source.KeyFile, "mode", f.keyMode.Perm().String())
	}
	for _, w := range warnings {
		x.opts.Log.Warn("certificate chain is doubtful", "domain", d.source.Domain, "file", d.source.CertFile, "problem", w)
	}
	return true, nil
}

// Run follows the files and rotates the ticket keys until ctx ends; it returns
// nil then. Problems are logged, each once.
func (x *Index) Run(ctx context.Context) error {
	tick := time.NewTicker(x.opts.Interval)
	defer tick.Stop()
	told := make(map[*domain]string)
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-tick.C:
			x.follow(told)
			if x.tickets.due(now) {
				x.tickets.rotate(now, x.domains)
			}
		}
	}
}

// follow reloads each domain; told is what was logged about each.
func (x *Index) follow(told map[*domain]string) {
	x.reloading.Lock()
	defer x.reloading.Unlock()
	for _, d := range x.domains {
		changed, err := x.reload(d)
		switch {
		case err == nil && changed:
			leaf := d.served.Load().cert.Leaf
			x.opts.Log.Info("certificate replaced", "domain", d.source.Domain, "not_after", leaf.NotAfter, "serial", leaf.SerialNumber.Text(16))
			delete(told, d)
		case err == nil:
			delete(told, d)
		case told[d] != err.Error():
			x.opts.Log.Warn("certificate not replaced", "domain", d.source.Domain, "error", err)
			told[d] = err.Error()
		}
	}
}
