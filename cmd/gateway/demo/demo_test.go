package demo

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"regexp"
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
		t.Fatalf("only %d lines begin with curl: %q", len(lines), lines)
	}
	wantInReadme(t, lines[0])
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for _, line := range lines {
		got, err := exec.CommandContext(ctx, "bash", "-c", line+" --fail --silent --show-error").CombinedOutput()
		if err != nil || len(got) == 0 {
			t.Errorf("%s\n%v: %s", line, err, got)
		}
		if line == lines[0] {
			wantInReadme(t, string(got))
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

// changing is what differs from one run of the demo to the next: its directory, its port, and
// which of the two instances answers.
var changing = regexp.MustCompile(`gateway-demo-\d+|127\.0\.0\.1:\d+|instance [0-9a-f]{8}`)

// wantInReadme checks that README.md shows a line as the demo prints it.
func wantInReadme(t *testing.T, line string) {
	t.Helper()
	readme, err := os.ReadFile("../../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(changing.ReplaceAllString(string(readme), "…"), changing.ReplaceAllString(strings.TrimSpace(line), "…")) {
		t.Errorf("README.md does not show %q", line)
	}
}
