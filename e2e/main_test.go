package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"sallyport/internal/gwtest"
)

// programs are what the tests start, built when the first test wants them.
var programs struct {
	tested func() (string, error) // the gateway, with the race detector if the tests have it
	plain  func() (string, error) // the gateway as it is shipped
	guest  func() (string, error) // a CVM's tunnel
}

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "gateway-e2e-")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if ready := os.Getenv("GATEWAY_TEST_PROGRAMS"); ready != "" { // where there is no Go to build them
		programs.tested, programs.plain, programs.guest = found(ready, "gateway"), found(ready, "gateway"), found(ready, "guest")
		m.Run()
		return
	}
	programs.tested = build(dir, "tested", raceFlag("build", "../cmd/gateway")...)
	programs.plain = build(dir, "plain", "build", "../cmd/gateway")
	programs.guest = build(dir, "guest", "test", "-c", "../internal/gwtest")
	m.Run()
}

// build runs go, once and not before it is asked to, with the output file dir/name.
func build(dir, name string, args ...string) func() (string, error) {
	return sync.OnceValues(func() (string, error) {
		file := filepath.Join(dir, name)
		args = slices.Insert(args, len(args)-1, "-o", file)
		if out, err := exec.Command("go", args...).CombinedOutput(); err != nil {
			return "", fmt.Errorf("go %s: %w\n%s", args, err, out)
		}
		return file, nil
	})
}

// found is a program that somebody else has built.
func found(dir, name string) func() (string, error) {
	return func() (string, error) { return filepath.Join(dir, name), nil }
}

// need says what stands in the way of an end-to-end test: as root with all
// programs there, nothing does.
func need(t *testing.T, programs ...string) {
	t.Helper()
	if missing := gwtest.Missing(); missing != "" {
		t.Skip(missing)
	}
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			t.Fatalf("%v: .ci/packages.sh installs it", err)
		}
	}
}
