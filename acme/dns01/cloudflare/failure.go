package cloudflare

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// failure is an answer of the API that is not a success.
type failure struct {
	status     int
	errors     []apiError
	retryAfter time.Duration // 0 if it does not say
}

type apiError struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
}

const (
	maxErrors  = 3   // that are repeated
	maxMessage = 200 // bytes of one
)

// Error repeats what the API says, bounded and without control characters.
func (f *failure) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "status %d", f.status)
	for _, e := range f.errors[:min(len(f.errors), maxErrors)] {
		fmt.Fprintf(&b, ", code %d %q", e.Code, e.Message[:min(len(e.Message), maxMessage)])
	}
	return b.String()
}

func (f *failure) has(codes ...int) bool {
	return slices.ContainsFunc(f.errors, func(e apiError) bool { return slices.Contains(codes, e.Code) })
}

// exists reports whether such a record is there: 81057 the record, 81058 an identical
// one.
func (f *failure) exists() bool { return f.has(81057, 81058) }

// temporary reports whether another try may do.
func (f *failure) temporary() bool {
	return f.status == http.StatusTooManyRequests || f.status >= http.StatusInternalServerError
}

// invalidToken: 1000 and 6003 are for tokens that cannot be one, 10001 for none.
func (f *failure) invalidToken() bool {
	return f.status == http.StatusUnauthorized || f.has(1000, 6003, 6111, 10001)
}

// denied: 9109 is for a resource, or for a token that could be one and is not; 10000
// for an authentication that does not do for what was asked.
func (f *failure) denied() bool { return f.status == http.StatusForbidden || f.has(9109, 10000) }

// needing adds to an error which permission the token lacks, if that is what it
// means.
func needing(err error, permission string) error {
	var f *failure
	switch {
	case !errors.As(err, &f):
		return err
	case f.invalidToken():
		return fmt.Errorf("the token is not valid: make a new one with %s: %w", permission, err)
	case f.denied():
		return fmt.Errorf("the token is not valid, or lacks %s: %w", permission, err)
	}
	return err
}
