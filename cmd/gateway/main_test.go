package main

import (
	"bytes"
	"cmp"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestMain lets the test binary be the gateway, so that tests run the real
// program: its exit codes, its signals, what it prints.
func TestMain(m *testing.M) {
	switch os.Getenv("BE_GATEWAY") {
	case "":
	case "stuck": // args are those of run
		os.Exit(stuckMain(os.Args[len(os.Args)-1]))
	default:
		os.Exit(realMain(os.Args[1:]))
	}
	os.Exit(m.Run())
}

// command is the gateway with these arguments, not yet started.
func command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, args...)
	cmd.Env = append(os.Environ(), "BE_GATEWAY="+cmp.Or(os.Getenv("BE_GATEWAY"), "1"))
	return cmd
}

// outcome runs the gateway to its end.
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

func TestExitCodesTellUsageFromFailure(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "gateway.toml")
	for _, test := range []struct {
		args string
		code int
		says string
	}{
		{"version", 0, ""},
		{"--help", 0, ""},
		{"", 2, "a command is needed"},
		{"bogus", 2, "unknown command"},
		{"run --bogus", 2, "unknown flag"},
		{"check more", 2, "unknown command"},
		{"demo --listen here", 2, "want IP:port"},
		{"run --config " + missing, 1, missing},
		{"check --config " + missing, 1, missing},
		{"status --admin 127.0.0.1:1", 1, "no gateway answers"},
	} {
		code, _, stderr := outcome(t, strings.Fields(test.args)...)
		if code != test.code || !strings.Contains(stderr, test.says) {
			t.Errorf("gateway %s: exit code %d, want %d; it says %q", test.args, code, test.code, stderr)
		}
	}
}

func TestCheckPrintsEveryProblemWithItsPlace(t *testing.T) {
	file := filepath.Join(t.TempDir(), "gateway.toml")
	text := "[proxy]\nlistn = []\n[wireguard]\nmtu = 1\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"check", "--config", file}, {"run", "--config", file}} {
		code, stdout, stderr := outcome(t, args...)
		said := stdout + stderr
		if code != 1 || !strings.Contains(said, file+":2:1: proxy.listn: ") || !strings.Contains(said, file+":4:1: wireguard.mtu: ") {
			t.Errorf("gateway %s: exit code %d, %s", args[0], code, said)
		}
	}
}

func TestExampleConfigurationIsPrinted(t *testing.T) {
	code, stdout, _ := outcome(t, "check", "--example")
	if code != 0 || !strings.Contains(stdout, "[[domain]]") {
		t.Errorf("exit code %d, %q", code, stdout)
	}
}
