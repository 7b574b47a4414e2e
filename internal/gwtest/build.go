package gwtest

import (
	"os/exec"
	"path"
	"path/filepath"
	"testing"
)

// Build builds a command of this module as it is shipped, without the race detector, and
// returns its file. Command is its folder, such as "cmd/gateway".
func Build(t testing.TB, command string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), path.Base(command))
	out, err := exec.CommandContext(t.Context(), "go", "build", "-o", file, "sallyport/"+command).CombinedOutput()
	if err != nil {
		t.Fatalf("build %s: %v\n%s", command, err, out)
	}
	return file
}
