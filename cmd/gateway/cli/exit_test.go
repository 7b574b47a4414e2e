package cli

import (
	"errors"
	"fmt"
	"testing"

	"github.com/spf13/cobra"
)

func TestExitCodeSaysWhoseFailureItIs(t *testing.T) {
	usage := usageArgs(cobra.NoArgs)(&cobra.Command{Use: "x"}, []string{"more"})
	for name, test := range map[string]struct {
		err      error
		code     int
		reported bool
	}{
		"none":              {nil, ExitDone, false},
		"failure":           {errors.New("x"), ExitFailed, false},
		"reported":          {ErrReported, ExitFailed, true},
		"reported, wrapped": {fmt.Errorf("x: %w", ErrReported), ExitFailed, true},
		"code of its own":   {fmt.Errorf("x: %w", Reported("unproven", 3)), 3, true},
		"usage":             {Usage(errors.New("x")), ExitUsage, false},
		"arguments":         {usage, ExitUsage, false},
	} {
		if code := end(test.err); code != test.code {
			t.Errorf("%s: exit code %d, want %d", name, code, test.code)
		}
		if got := errors.Is(test.err, ErrReported); got != test.reported {
			t.Errorf("%s: reported is %v, want %v", name, got, test.reported)
		}
	}
}

func TestUsageErrorReadsAsItsCause(t *testing.T) {
	cause := errors.New("--port: want a number")
	if err := Usage(cause); err.Error() != cause.Error() || !errors.Is(err, cause) {
		t.Error(err)
	}
}
