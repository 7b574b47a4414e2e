package qvl

import (
	"fmt"
	"time"
)

// A window is the validity of a document or a certificate, both ends included.
type window struct{ from, until time.Time }

func parseWindow(issued, next string) (w window, err error) {
	if w.from, err = time.Parse(time.RFC3339, issued); err != nil {
		return window{}, fmt.Errorf("issueDate %.40q: want RFC 3339", issued)
	}
	if w.until, err = time.Parse(time.RFC3339, next); err != nil {
		return window{}, fmt.Errorf("nextUpdate %.40q: want RFC 3339", next)
	}
	return w, nil
}

// check returns an error if t is outside.
func (w window) check(t time.Time) error {
	switch {
	case t.Before(w.from):
		return fmt.Errorf("is not valid yet at %s", rfc3339(t))
	case t.After(w.until):
		return fmt.Errorf("has expired at %s", rfc3339(t))
	}
	return nil
}

func (w window) intersect(v window) window {
	if v.from.After(w.from) {
		w.from = v.from
	}
	if v.until.Before(w.until) {
		w.until = v.until
	}
	return w
}

func (w window) String() string { return rfc3339(w.from) + " … " + rfc3339(w.until) }

func rfc3339(t time.Time) string { return t.UTC().Format(time.RFC3339) }
