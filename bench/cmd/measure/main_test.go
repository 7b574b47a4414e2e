package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sallyport/internal/gwtest"
)

// gateway returns the binary of the gateway.
var gateway func(testing.TB) string

// TestMain lets the test binary be the program, and the parts that it starts of itself.
func TestMain(m *testing.M) {
	if gwtest.IsProgram() {
		os.Exit(realMain(os.Args[1:]))
	}
	dir, err := os.MkdirTemp("", "gateway-measure-")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	gateway = gwtest.BuildOnce(dir, "cmd/gateway")
	m.Run()
}

func TestWrongArgumentsAreErrorsOfUsage(t *testing.T) {
	for args, says := range map[string]string{
		"":                            "is needed",
		"nothing":                     "unknown command",
		"compare now":                 "unknown command",
		"compare --rounds x":          "rounds",
		"report":                      "at least 1 arg",
		"compare --gateway /nobody":   "run make build",
		"hostile --gateway /bin/true": "is not a gateway",
		"attack":                      "accepts 1 arg",
		"load []":                     "options of load",
		"cvm {}":                      "an address",
		`crowd {"Rate":-1}`:           "rate",
	} {
		code, stdout, stderr := gwtest.Outcome(t, strings.Fields(args)...)
		if code != exitUsage || !strings.Contains(stderr, says) {
			t.Errorf("measure %s: exit code %d, want %d and %q: %s%s", args, code, exitUsage, says, stdout, stderr)
		}
	}
}

func TestHelpHidesTheParts(t *testing.T) {
	code, help, stderr := gwtest.Outcome(t, "--help")
	if code != exitDone || !strings.Contains(help, "hostile") || strings.Contains(help, "crowd") {
		t.Errorf("exit code %d: %s%s", code, help, stderr)
	}
}

func TestFIFOInPlaceOfResultsIsRefusedByName(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "fifo")
	err := gwtest.ErrorWithFIFO(t, fifo, func(fifo string) error {
		_, err := readResults(fifo)
		return err
	})
	if err == nil || !strings.Contains(err.Error(), "regular file") || !strings.Contains(err.Error(), fifo) {
		t.Error(err)
	}
}
