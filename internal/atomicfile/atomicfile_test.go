package atomicfile

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// wantOnly checks that dir has the file name and nothing else.
func wantOnly(t *testing.T, name, content string, mode fs.FileMode) {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil || string(data) != content {
		t.Errorf("%q, %v; want %q", data, err, content)
	}
	if info, err := os.Stat(name); err != nil || info.Mode() != mode {
		t.Errorf("mode %v, %v; want %v", info.Mode(), err, mode)
	}
	if all, err := os.ReadDir(filepath.Dir(name)); err != nil || len(all) != 1 {
		t.Errorf("%v, %v", all, err)
	}
}

func TestReplaceWritesOverWhatIsThere(t *testing.T) {
	name := filepath.Join(t.TempDir(), "file")
	for _, f := range []struct {
		content string
		mode    fs.FileMode
	}{{"a longer first content", 0o600}, {"second", 0o644}, {"", 0o600}} {
		if err := Replace(name, []byte(f.content), f.mode); err != nil {
			t.Fatal(err)
		}
		wantOnly(t, name, f.content, f.mode)
	}
}

func TestCreateLeavesWhatIsThere(t *testing.T) {
	name := filepath.Join(t.TempDir(), "file")
	if err := Create(name, []byte("first"), 0o640); err != nil {
		t.Fatal(err)
	}
	if err := Create(name, []byte("second"), 0o600); !errors.Is(err, fs.ErrExist) {
		t.Errorf("second: %v, want fs.ErrExist", err)
	}
	wantOnly(t, name, "first", 0o640)
}

func TestOfManyThatCreateAFileOneWins(t *testing.T) {
	name := filepath.Join(t.TempDir(), "file")
	var wg sync.WaitGroup
	var won atomic.Int32
	for range 8 {
		wg.Go(func() {
			switch err := Create(name, []byte("content"), 0o600); {
			case err == nil:
				won.Add(1)
			case !errors.Is(err, fs.ErrExist):
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 {
		t.Errorf("%d have created it", won.Load())
	}
	wantOnly(t, name, "content", 0o600)
}

func TestReaderSeesTheOldOrTheNewContent(t *testing.T) {
	name := filepath.Join(t.TempDir(), "file")
	contents := [][]byte{bytes.Repeat([]byte("a"), 64<<10), bytes.Repeat([]byte("b"), 1<<10)}
	if err := Replace(name, contents[0], 0o600); err != nil {
		t.Fatal(err)
	}
	var done atomic.Bool
	var reader sync.WaitGroup
	reader.Go(func() {
		for !done.Load() {
			data, err := os.ReadFile(name)
			if err != nil || !bytes.Equal(data, contents[0]) && !bytes.Equal(data, contents[1]) {
				t.Errorf("%d bytes, %v", len(data), err)
				return
			}
		}
	})
	for i := range 20 {
		if err := Replace(name, contents[i%2], 0o600); err != nil {
			t.Error(err)
		}
	}
	done.Store(true)
	reader.Wait()
}

func TestFailureLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "directory")
	if err := os.MkdirAll(filepath.Join(name, "full"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := Replace(name, []byte("x"), 0o600); err == nil {
		t.Error("a directory was replaced")
	}
	if all, err := os.ReadDir(dir); err != nil || len(all) != 1 {
		t.Errorf("%v, %v", all, err)
	}
	absent := filepath.Join(dir, "none", "file")
	if err := Replace(absent, nil, 0o600); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), absent+":") {
		t.Errorf("no directory: %v", err)
	}
	if err := SyncDir(filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("sync: %v", err)
	}
}
