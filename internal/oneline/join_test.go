package oneline

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"slices"
	"testing"
)

func TestErrorsAreJoinedInOneLine(t *testing.T) {
	if err := Join(nil, nil); err != nil {
		t.Errorf("of no error: %v", err)
	}
	if err := Join(nil, fs.ErrExist); err != fs.ErrExist { //nolint:errorlint // it must be that very value
		t.Errorf("of one error: %v", err)
	}
	err := Join(fs.ErrExist, nil, net.ErrClosed)
	if err.Error() != "file already exists; use of closed network connection" {
		t.Errorf("of two errors: %q", err)
	}
	if !errors.Is(err, fs.ErrExist) || !errors.Is(err, net.ErrClosed) {
		t.Errorf("%v does not wrap both", err)
	}
}

func TestJoinedErrorsAreSplitAgain(t *testing.T) {
	own := fmt.Errorf("open: %w", Join(fs.ErrExist, net.ErrClosed))
	for _, c := range []struct {
		err  error
		want []error
	}{
		{nil, nil},
		{fs.ErrExist, []error{fs.ErrExist}},
		{Join(fs.ErrExist, Join(net.ErrClosed, own)), []error{fs.ErrExist, net.ErrClosed, own}},
	} {
		if got := Split(c.err); !slices.Equal(got, c.want) {
			t.Errorf("%v: %q, want %q", c.err, got, c.want)
		}
	}
}

// A library may join errors by lines.
func TestErrorsOfSeveralLinesAreJoinedInOneLine(t *testing.T) {
	lines := errors.Join(fs.ErrExist, net.ErrClosed)
	err := Join(errors.New("close\r\n"), lines)
	if err.Error() != "close; file already exists; use of closed network connection" {
		t.Errorf("%q", err)
	}
}
