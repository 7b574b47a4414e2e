// Package oneline joins errors so that their text stays on one line: in a log, on
// /readyz, and in an answer to a client. It is also for cleanups that all run,
// whatever the others return:
//
//	return oneline.Join(err, f.Close())
package oneline

import "strings"

// Join returns an error that wraps those of errs that are not nil, in their order, with
// "; " between their texts. It returns nil if all are nil, and a single error as it is.
func Join(errs ...error) error {
	var all joined
	for _, err := range errs {
		if err != nil {
			all = append(all, err)
		}
	}
	switch len(all) {
	case 0:
		return nil
	case 1:
		return all[0]
	}
	return all
}

type joined []error

// Error implements error.
func (j joined) Error() string {
	texts := make([]string, len(j))
	for i, err := range j {
		texts[i] = Text(err.Error())
	}
	return strings.Join(texts, "; ")
}

// Unwrap lets errors.Is and errors.As see all of them.
func (j joined) Unwrap() []error { return j }

// Split returns the errors that Join has joined, or err alone, or nothing if err is nil.
func Split(err error) []error {
	if err == nil {
		return nil
	}
	all, ok := err.(joined) //nolint:errorlint // one that is wrapped has more to say than its parts
	if !ok {
		return []error{err}
	}
	var parts []error
	for _, err := range all {
		parts = append(parts, Split(err)...)
	}
	return parts
}

// Text returns s with "; " in place of its line breaks.
func Text(s string) string {
	if !strings.ContainsAny(s, "\r\n") {
		return s
	}
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r == '\n' || r == '\r' }), "; ")
}
