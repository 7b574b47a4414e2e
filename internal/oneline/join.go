// Package oneline joins errors so that their text stays in one line, as a line of a log
// wants it. It is for cleanups that all run, whatever the others return.
package oneline

import "strings"

// Join returns an error that wraps those of errs that are not nil, in their order, with
// "; " between their texts. It returns nil where all are nil, and an error that is alone
// as it is.
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
		texts[i] = err.Error()
	}
	return strings.Join(texts, "; ")
}

// Unwrap gives errors.Is and errors.As all of them.
func (j joined) Unwrap() []error { return j }
