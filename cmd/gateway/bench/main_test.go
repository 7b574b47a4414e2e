package bench

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"testing"

	"github.com/spf13/cobra"

	"sallyport/cmd/gateway/cli"
	"sallyport/internal/gwtest"
)

// program returns the binary of the gateway.
var program func(testing.TB) string

// TestMain lets the test binary be "gateway bench", so that tests run a process: its
// exit codes, its signals, what it prints.
func TestMain(m *testing.M) {
	if os.Getenv("BE_BENCH") != "" {
		root := New()
		root.SilenceUsage, root.SilenceErrors = true, true
		root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return cli.Usage(err) })
		os.Exit(cli.End(root.ExecuteContext(context.Background())))
	}
	dir, err := os.MkdirTemp("", "gateway-bench-")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	program = gwtest.BuildOnce(dir, "cmd/gateway")
	m.Run()
}

// command is "gateway bench" with these arguments, not yet started.
func command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, args...)
	cmd.Env = append(os.Environ(), "BE_BENCH=1", "GORACE=atexit_sleep_ms=0") // or every process ends a second later
	return cmd
}

// outcome runs "gateway bench" to its end.
func outcome(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	cmd := command(t, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}
