package oneline

import (
	"errors"
	"io/fs"
	"net"
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

// A library may join errors by lines.
func TestErrorsOfSeveralLinesAreJoinedInOneLine(t *testing.T) {
	lines := errors.Join(fs.ErrExist, net.ErrClosed)
	err := Join(errors.New("close\r\n"), lines)
	if err.Error() != "close; file already exists; use of closed network connection" {
		t.Errorf("%q", err)
	}
}
