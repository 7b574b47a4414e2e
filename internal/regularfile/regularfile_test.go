package regularfile

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestReadIsBounded(t *testing.T) {
	const limit = 100
	name := filepath.Join(t.TempDir(), "file")
	for size, ok := range map[int]bool{0: true, limit: true, limit + 1: false} {
		if err := os.WriteFile(name, bytes.Repeat([]byte("x"), size), 0o640); err != nil {
			t.Fatal(err)
		}
		data, info, err := Read(name, limit)
		if ok && (err != nil || len(data) != size) || !ok && (!errors.Is(err, ErrTooLarge) || data != nil) {
			t.Errorf("%d bytes: read %d, %v", size, len(data), err)
		}
		if info == nil || info.Mode().Perm() != 0o640 || info.Size() != int64(size) {
			t.Errorf("%d bytes: %v", size, info)
		}
	}
}

func TestSymbolicLinkIsFollowed(t *testing.T) {
	dir := t.TempDir()
	target, link := filepath.Join(dir, "target"), filepath.Join(dir, "link")
	if err := errors.Join(os.WriteFile(target, []byte("x"), 0o600), os.Symlink(target, link)); err != nil {
		t.Fatal(err)
	}
	if data, _, err := Read(link, 1); err != nil || string(data) != "x" {
		t.Errorf("%q, %v", data, err)
	}
}

func TestAnythingElseIsRefusedByName(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{fifo, t.TempDir(), "/dev/zero"} {
		data, info, err := Read(name, 100)
		if data != nil || info != nil || !errors.Is(err, ErrNotRegular) || err.Error() != name+": want a regular file" {
			t.Errorf("%s: %d bytes, %v, %v", name, len(data), info, err)
		}
	}
	none := fifo + ".none"
	if _, _, err := Read(none, 100); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), none) {
		t.Errorf("missing file: %v", err)
	}
}
