package demo

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"sallyport/cmd/gateway/cli"
	"sallyport/internal/gwtest"
)

// TestMain lets the test binary be a gateway that has this command alone.
func TestMain(m *testing.M) {
	if gwtest.IsProgram() {
		os.Exit(cli.Main(cli.Root(&cobra.Command{Use: "gateway"}, New()), os.Args[1:]))
	}
	m.Run()
}

// A newcomer copies the lines that begin with "curl ", so every one must work.
func TestLinesOfTheDemoWork(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("curl is not installed")
	}
	demo := gwtest.Program(t, "demo", "--listen", "127.0.0.1:0")
	demo.Cancel = func() error { return demo.Process.Signal(syscall.SIGTERM) }
	out, err := demo.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := demo.Start(); err != nil {
		t.Fatal(err)
	}
	var lines []string
	text := bufio.NewScanner(out)
	for text.Scan() {
		if strings.HasPrefix(text.Text(), "curl ") {
			lines = append(lines, text.Text())
		}
		if strings.Contains(text.Text(), "Ctrl-C ends the demo") {
			break
		}
	}
	if len(lines) < 6 {
		t.Errorf("only %d lines begin with curl: %q", len(lines), lines)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for _, line := range lines {
		got, err := exec.CommandContext(ctx, "bash", "-c", line+" --fail --silent --show-error").CombinedOutput()
		if err != nil || len(got) == 0 {
			t.Errorf("%s\n%v: %s", line, err, got)
		}
		if strings.Contains(line, "-8080g.") && !strings.Contains(string(got), "HTTP/2.0") {
			t.Errorf("%s\nis not HTTP/2: %s", line, got)
		}
	}
	if err := demo.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if err := demo.Wait(); err != nil {
		t.Errorf("the demo ended with %v", err)
	}
}
