package main

import (
	"bufio"
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"sallyport/internal/gwtest"
)

func TestComparisonIsKeptAndRenderedAgain(t *testing.T) {
	dir := t.TempDir()
	code, table, errs := gwtest.Outcome(t, "compare", "--gateway", gateway(t), "--only", "passthrough-connect,passthrough-bulk-1",
		"--rounds", "2", "--duration", "100ms", "--warmup", "0s", "--out", dir)
	if code != exitDone {
		t.Fatalf("exit code %d: %s", code, errs)
	}
	for _, want := range []string{"| gateway |", "≤ 0.95 × the best peer", "--only=passthrough-connect,passthrough-bulk-1"} {
		if !strings.Contains(table, want) {
			t.Errorf("no %q in\n%s", want, table)
		}
	}
	read := func(name string) string {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	chart := read("compare.svg")
	if read("compare.md") != table {
		t.Error("the file has another table than was printed")
	}
	for _, name := range []string{"compare.md", "compare.svg"} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if code, again, errs := gwtest.Outcome(t, "report", filepath.Join(dir, "compare.json")); code != exitDone || again != table {
		t.Errorf("report: exit code %d, %s\n%s", code, errs, again)
	}
	if read("compare.md") != table || read("compare.svg") != chart {
		t.Error("report renders another table or chart")
	}
}

// The proxy that runs when the comparison is interrupted ends with it.
func TestInterruptedComparisonLeavesNothing(t *testing.T) {
	temporary := t.TempDir()
	cmd := gwtest.Program(t, "compare", "--gateway", gateway(t), "--only", "passthrough-request-50", "--rounds", "1000", "--duration", "100ms", "--warmup", "0s")
	cmd.Env = append(cmd.Env, "TMPDIR="+temporary)
	var out bytes.Buffer
	cmd.Stdout = &out
	progress, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(progress)
	if !lines.Scan() {
		t.Fatal("no progress")
	}
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	for lines.Scan() { // to its end: a process that is left would hold the pipe
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != exitFailed {
		t.Errorf("it ended with %v", err)
	}
	if !strings.Contains(out.String(), "| gateway |") {
		t.Errorf("what there was is not printed:\n%s", out.String())
	}
	if left, _ := os.ReadDir(temporary); len(left) > 0 {
		t.Errorf("files are left: %v", left)
	}
}

func TestAnotherBinaryTakesThePlaceOfThePeers(t *testing.T) {
	peer := gateway(t)
	code, table, errs := gwtest.Outcome(t, "compare", "--gateway", gateway(t), "--only", "passthrough-connect", "--before", peer, "--rounds", "1", "--duration", "100ms", "--warmup", "0s")
	if code != exitDone || !strings.Contains(table, "| gateway-before |") || !strings.Contains(table, "The gateway divided by") || strings.Contains(table, "haproxy") {
		t.Errorf("exit code %d: %s%s", code, table, errs)
	}
	for _, other := range []string{"/nonexistent", "/bin/true"} {
		if code, _, errs := gwtest.Outcome(t, "compare", "--gateway", gateway(t), "--before", other); code != exitUsage || !strings.Contains(errs, other) {
			t.Errorf("%s: exit code %d: %s", other, code, errs)
		}
	}
}
