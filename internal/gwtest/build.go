package gwtest

import (
	"os/exec"
	"path"
	"path/filepath"
	"sync"
	"testing"
)

// Build builds a command of this module as it is shipped, without the race detector, and
// returns its file. Command is its folder, such as "cmd/gateway".
func Build(t testing.TB, command string) string {
	t.Helper()
	return BuildOnce(t.TempDir(), command)(t)
}

// BuildOnce returns a function that builds a command as Build does, when it is called for
// the first time. The caller removes dir when the last test has ended.
func BuildOnce(dir, command string) func(testing.TB) string {
	file := filepath.Join(dir, path.Base(command))
	build := sync.OnceValues(func() ([]byte, error) {
		return exec.Command("go", "build", "-o", file, "sallyport/"+command).CombinedOutput()
	})
	return func(t testing.TB) string {
		t.Helper()
		if out, err := build(); err != nil {
			t.Fatalf("build %s: %v\n%s", command, err, out)
		}
		return file
	}
}
