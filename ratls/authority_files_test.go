package ratls

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// saved is an authority and the directory that it was saved to.
func saved(t *testing.T) (*Authority, string) {
	t.Helper()
	a, dir := newAuthority(t), filepath.Join(t.TempDir(), "pki")
	if err := a.Save(dir); err != nil {
		t.Fatal(err)
	}
	return a, dir
}

func TestAuthorityIsLoadedAsItWasSaved(t *testing.T) {
	a, dir := saved(t)
	b, err := LoadAuthority(dir)
	if err != nil || !a.Root().Equal(b.Root()) || !a.key.Equal(b.key) {
		t.Fatalf("another authority: %v", err)
	}
	for file, want := range map[string]fs.FileMode{"": fs.ModeDir | 0o700, RootFile: 0o644, RootKeyFile: 0o600} {
		if info, err := os.Stat(filepath.Join(dir, file)); err != nil || info.Mode() != want {
			t.Errorf("%q: %v, %v, want mode %v", file, info.Mode(), err, want)
		}
	}
}

func TestSaveOverwritesNothing(t *testing.T) {
	for _, missing := range []string{"", RootFile, RootKeyFile} {
		a, dir := saved(t)
		if missing != "" {
			if err := os.Remove(filepath.Join(dir, missing)); err != nil {
				t.Fatal(err)
			}
		}
		if err := newAuthority(t).Save(dir); err == nil || !strings.Contains(err.Error(), "exists already") {
			t.Errorf("without %q: %v", missing, err)
		}
		if b, err := LoadAuthority(dir); missing == "" && (err != nil || !a.Root().Equal(b.Root())) {
			t.Errorf("another authority is there: %v", err)
		}
		if _, err := os.Stat(filepath.Join(dir, missing)); missing != "" && !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("half an authority was made: %s, %v", missing, err)
		}
	}
}

func TestBadAuthorityIsNotLoaded(t *testing.T) {
	for why, c := range map[string]struct {
		spoil func(root, key string) error
		want  string
	}{
		"none":             {func(root, _ string) error { return os.Remove(root) }, "no authority in "},
		"no key":           {func(_, key string) error { return os.Remove(key) }, "no such file"},
		"open key":         {func(_, key string) error { return os.Chmod(key, 0o640) }, "is open to others (mode 0640)"},
		"FIFO for a root":  {func(root, _ string) error { return fifoAt(root) }, "want a regular file"},
		"FIFO for a key":   {func(_, key string) error { return fifoAt(key) }, "want a regular file"},
		"root cut short":   {func(root, _ string) error { return os.Truncate(root, 100) }, "authority's certificate: want one PEM block"},
		"key is too large": {func(_, key string) error { return os.Truncate(key, 1<<30) }, "want at most"},
	} {
		_, dir := saved(t)
		if err := c.spoil(filepath.Join(dir, RootFile), filepath.Join(dir, RootKeyFile)); err != nil {
			t.Fatal(err)
		}
		a, err := LoadAuthority(dir)
		if a != nil || err == nil || !strings.Contains(err.Error(), c.want) || errors.Is(err, ErrNoAuthority) != (why == "none") {
			t.Errorf("%s: %v, want %q", why, err, c.want)
		}
	}
}

// fifoAt puts a FIFO in a file's place.
func fifoAt(file string) error {
	return errors.Join(os.Remove(file), syscall.Mkfifo(file, 0o600))
}

func TestPairOfFilesIsWrittenWholeOrNotAtAll(t *testing.T) {
	cert := issue(t, newAuthority(t), guest())
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "vm.pem"), filepath.Join(dir, "vm.key")
	if err := WriteFiles(cert, certFile, keyFile); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(keyFile); err != nil {
		t.Fatal(err)
	}
	if err := WriteFiles(cert, certFile, keyFile); err == nil || !strings.Contains(err.Error(), certFile) {
		t.Errorf("over a certificate: %v", err)
	}
	if _, err := os.Stat(keyFile); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the key is left: %v", err)
	}
}
