package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"
)

// Exit codes. A command may have further ones; see Reported.
const (
	ExitDone   = 0
	ExitFailed = 1 // the check or the work failed
	ExitUsage  = 2
)

// ErrReported is a failure that the command has printed itself.
var ErrReported = errors.New("failed")

// Reported returns an error that stands for a failure with an exit code of its own, which
// the command has printed itself. It is ErrReported.
func Reported(word string, code int) error { return &reported{word, code} }

type reported struct {
	word string
	code int
}

func (r *reported) Error() string        { return r.word }
func (r *reported) Is(target error) bool { return target == ErrReported }

// Main runs the command that args name below root, and returns the exit code. It prints why
// the command failed, unless the command has done so.
func Main(root *cobra.Command, args []string) int {
	root.SetArgs(args)
	return end(root.ExecuteContext(context.Background()))
}

// end prints err, unless that was done, and returns the exit code.
func end(err error) int {
	var own *reported
	switch {
	case err == nil:
		return ExitDone
	case errors.As(err, &own):
		return own.code
	case errors.Is(err, ErrReported):
		return ExitFailed
	}
	report(err)
	if _, ok := errors.AsType[UsageError](err); ok {
		return ExitUsage
	}
	return ExitFailed
}

// report prints err. A reader of standard error that has stopped does not keep the process
// from its end.
func report(err error) {
	printed := make(chan struct{})
	go func() {
		defer close(printed)
		fmt.Fprintf(os.Stderr, "gateway: %v\n", err)
	}()
	select {
	case <-printed:
	case <-time.After(flushTime):
	}
}
