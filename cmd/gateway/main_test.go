package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sallyport/cmd/gateway/cli"
	"sallyport/internal/gwtest"
)

// TestMain lets the test binary be the gateway.
func TestMain(m *testing.M) {
	switch {
	case !gwtest.IsProgram():
		m.Run()
	case os.Getenv(stuck) != "": // args are those of run
		os.Exit(stuckMain(os.Args[len(os.Args)-1]))
	default:
		os.Exit(cli.Main(newRoot(), os.Args[1:]))
	}
}

func TestExitCodesTellUsageFromFailure(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "gateway.toml")
	for _, test := range []struct {
		args string
		code int
		says string
	}{
		{"version", 0, ""},
		{"--version", 0, ""},
		{"--help", 0, ""},
		{"", 2, "a command is needed: run, check"},
		{"bogus", 2, "unknown command"},
		{"run --bogus", 2, "unknown flag"},
		{"check more", 2, "unknown command"},
		{"demo --listen here", 2, "want IP:port"},
		{"run --config " + missing, 1, missing},
		{"check --config " + missing, 1, missing},
		{"status --admin 127.0.0.1:1", 1, "no gateway answers"},
	} {
		code, _, stderr := gwtest.Outcome(t, strings.Fields(test.args)...)
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
		code, stdout, stderr := gwtest.Outcome(t, args...)
		said := stdout + stderr
		if code != 1 || !strings.Contains(said, file+":2:1: proxy.listn: ") || !strings.Contains(said, file+":4:1: wireguard.mtu: ") {
			t.Errorf("gateway %s: exit code %d, %s", args[0], code, said)
		}
	}
}

func TestExampleConfigurationIsPrinted(t *testing.T) {
	code, stdout, _ := gwtest.Outcome(t, "check", "--example")
	if code != 0 || !strings.Contains(stdout, "[[domain]]") {
		t.Errorf("exit code %d, %q", code, stdout)
	}
}
