package acme

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Rehearsal is how one order at a staging directory went.
type Rehearsal struct {
	Name      string
	Directory string
	Took      time.Duration
	Err       error // nil: the real order can be expected to succeed
}

// Rehearse makes a whole order for each name at the first authority's staging
// directory, one after the other, and throws the certificates away. Nothing is
// served, and no time of a next try is changed; the staging account is kept for
// the next rehearsal. The error is what kept it from beginning.
func (m *Manager) Rehearse(ctx context.Context) ([]Rehearsal, error) {
	a := m.opts.CA
	directory := a.staging()
	if directory == "" {
		return nil, fmt.Errorf("rehearsal: no staging directory is known for %s: configure it", a.Directory)
	}
	if directory == a.Directory {
		return nil, errors.New("rehearsal: the staging directory is the real one")
	}
	a.Directory = directory
	at := newAuthority(a, m.opts.Log)
	defer at.close()
	var names []string
	for name := range m.wanted() {
		names = append(names, name)
	}
	slices.Sort(names)
	var list []Rehearsal
	for _, name := range names {
		begun := time.Now()
		err := m.rehearse(ctx, at, name)
		list = append(list, Rehearsal{name, directory, time.Since(begun), err})
	}
	return list, nil
}

func (m *Manager) rehearse(ctx context.Context, at *authority, name string) error {
	ctx, cancel := context.WithTimeout(ctx, m.opts.Timeout)
	defer cancel()
	csr, err := request(name)
	if err != nil {
		return err
	}
	_, err = (&order{m: m, at: at, name: name, csr: csr}).run(ctx)
	return err
}
