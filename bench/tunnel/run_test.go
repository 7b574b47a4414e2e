package tunnel

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"sallyport/internal/gwtest"
)

// TestEveryWayIsMeasured runs the command as it is shipped: with the race detector a
// tunnel is ten times slower.
func TestEveryWayIsMeasured(t *testing.T) {
	if why := gwtest.Missing(); why != "" {
		t.Skip(why)
	}
	gateway, self := gwtest.Build(t, "cmd/gateway"), gwtest.Build(t, "bench/cmd/measure")
	temporary := t.TempDir()
	cmd := exec.CommandContext(t.Context(), self, "tunnel", "--gateway", gateway, "--rounds", "1", "--duration", "500ms")
	cmd.Env = append(cmd.Environ(), "TMPDIR="+temporary)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v: %s", err, errs.String())
	}
	if n := strings.Count(out.String(), "The gateway's own share"); n != len(workloads()) {
		t.Errorf("%d of %d workloads have the gateway's share:\n%s", n, len(workloads()), out.String())
	}
	if !strings.Contains(out.String(), " instances were registered meanwhile") {
		t.Errorf("nobody registered:\n%s", out.String())
	}
	if left, _ := filepath.Glob(temporary + "/*"); len(left) > 0 {
		t.Errorf("files are left: %v", left)
	}
}
