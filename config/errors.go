package config

import (
	"cmp"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"

	"sallyport/internal/oneline"
)

// Error is one problem of a configuration file.
type Error struct {
	File         string
	Line, Column int    // from 1; the column counts bytes
	Key          string // as "proxy.timeouts.idle"; "" if the text is not TOML
	Problem      string // what is wrong and what to write instead
}

// Error is file:line:column: key: problem.
func (e Error) Error() string {
	s := e.File + ":" + strconv.Itoa(e.Line) + ":" + strconv.Itoa(e.Column) + ": "
	if e.Key != "" {
		s += e.Key + ": "
	}
	return s + e.Problem
}

// maxProblems bounds Errors: a file of noise would only give more of the same.
const maxProblems = 1000

// Errors are all problems of a file (the 1,000 found first, if there are more),
// in the order of their places in it.
type Errors []Error

// LogValue returns the problems on one line, with "; " between them.
func (e Errors) LogValue() slog.Value { return slog.StringValue(oneline.Text(e.Error())) }

// Error returns one line for each problem.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i := range e {
		lines[i] = e[i].Error()
	}
	return strings.Join(lines, "\n")
}

// report collects problems while a file is read.
type report struct {
	file string
	errs Errors
}

// full reports whether no more problems are kept.
func (r *report) full() bool { return len(r.errs) >= maxProblems }

func (r *report) add(at position, key, format string, args ...any) {
	if r.full() {
		return
	}
	r.errs = append(r.errs, Error{r.file, at.line, at.column, key, fmt.Sprintf(format, args...)})
}

// err is nil, or all that was collected.
func (r *report) err() error {
	if len(r.errs) == 0 {
		return nil
	}
	slices.SortStableFunc(r.errs, func(a, b Error) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return r.errs
}

// maxShown bounds the bytes of the file that an error repeats.
const maxShown = 64

// show quotes s for an error, so that no control character of the file reaches
// a terminal.
func show(s string) string {
	if len(s) > maxShown {
		return strconv.Quote(s[:maxShown]) + "…"
	}
	return strconv.Quote(s)
}

// clean is a key as an error names it: as it is if it is short and plain.
func clean(key string) string {
	plain := func(r rune) bool { return r > ' ' && r < 0x7f && r != '"' && r != ':' }
	if len(key) <= maxShown && strings.IndexFunc(key, func(r rune) bool { return !plain(r) }) < 0 {
		return key
	}
	return show(key)
}
