package gwtest

import (
	"bytes"
	"os"
	"os/exec"
	"testing"
)

// asProgram is set for processes that are to be the program.
const asProgram = "GWTEST_PROGRAM"

// IsProgram reports whether Program has started this process. TestMain of a package that
// makes a program then runs that instead of the tests, so that they test a process: its
// exit codes, its signals, what it prints.
func IsProgram() bool { return os.Getenv(asProgram) != "" }

// Program returns the program with these arguments, which the caller starts: the test
// binary itself.
func Program(t testing.TB, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, args...)
	cmd.Env = append(os.Environ(), asProgram+"=1")
	return cmd
}

// Outcome runs the program to its end, and returns its exit code and what it has printed.
func Outcome(t testing.TB, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	cmd := Program(t, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

// EndAtOnce spares the programs of a test the second for which the race detector waits at
// their end.
func EndAtOnce(t testing.TB) { t.Setenv("GORACE", "atexit_sleep_ms=0") }
