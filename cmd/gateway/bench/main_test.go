package bench

import (
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
	if gwtest.IsProgram() {
		os.Exit(cli.Main(cli.Root(&cobra.Command{Use: "gateway"}, New()), os.Args[1:]))
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
	gwtest.EndAtOnce(t)
	return gwtest.Program(t, append([]string{"bench"}, args...)...)
}

// outcome runs "gateway bench" to its end.
func outcome(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	gwtest.EndAtOnce(t)
	return gwtest.Outcome(t, append([]string{"bench"}, args...)...)
}
