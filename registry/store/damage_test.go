package store

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// fileWith makes a store of n pairs, and returns the bytes of its file.
func fileWith(t testing.TB, n int) []byte {
	t.Helper()
	b := newBolt(t)
	for i := range n {
		commit(t, b, Txn{Then: []Change{put(fmt.Sprintf("registry/instance/i%d", i), fmt.Sprintf(`{"v":1,"app":"app","n":%d}`, i))}})
	}
	b.Close()
	raw, err := os.ReadFile(b.path)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestDamagedStoreIsKeptAndTheErrorSaysWhatToDo(t *testing.T) {
	good := fileWith(t, 50)
	for name, bad := range map[string][]byte{
		"empty":          {},
		"text":           []byte("this is not a database, but a note to self\n"),
		"zeros":          make([]byte, len(good)),
		"noise":          bytes.Repeat([]byte{0xa5, 1, 7}, 1000),
		"cut after meta": good[:8192],
		"cut in half":    good[:len(good)/2],
		"one value":      []byte(strings.Replace(string(good), `"app":"app"`, `"app":"apq"`, 1)),
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "registry.db")
			if err := os.WriteFile(path, bad, 0o600); err != nil {
				t.Fatal(err)
			}
			b, err := OpenBolt(path)
			if err == nil {
				b.Close()
				t.Fatal("opened")
			}
			for _, part := range []string{path, "is damaged", "mv " + path} {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("the error does not say %q: %v", part, err)
				}
			}
			if now, err := os.ReadFile(path); err != nil || string(now) != string(bad) {
				t.Error("the file was changed")
			}
			if err := os.Rename(path, path+".damaged"); err != nil {
				t.Fatal(err)
			}
			if b, err = OpenBolt(path); err != nil {
				t.Fatalf("the way out does not work: %v", err)
			}
			b.Close()
		})
	}
}

// Bytes anywhere are overwritten: the start says so, or what it reads is as it was. It
// never panics, and never believes something else.
func TestDamageAnywhereIsFoundOrHarmless(t *testing.T) {
	good := fileWith(t, 30)
	clean := filepath.Join(t.TempDir(), "registry.db")
	if err := os.WriteFile(clean, good, 0o600); err != nil {
		t.Fatal(err)
	}
	b, err := OpenBolt(clean)
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprint(contents(t, b, ""))
	random := rand.New(rand.NewPCG(1, 2))
	found := 0
	for range 300 {
		bad := []byte(string(good))
		at := random.IntN(len(bad))
		bad[at] ^= byte(1 + random.IntN(255))
		path := filepath.Join(t.TempDir(), "registry.db")
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		b, err := OpenBolt(path)
		if err != nil {
			found++
			continue
		}
		if got := fmt.Sprint(contents(t, b, "")); got != want {
			t.Errorf("byte %d: other contents are believed", at)
		}
		b.Close()
	}
	if found == 0 {
		t.Error("no damage was found: the test damages nothing that matters")
	}
}

func TestStoreThatOthersCanReplaceStopsTheStart(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "registry.db")
	b, err := OpenBolt(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o770); err != nil { //nolint:gosec // what is tested
		t.Fatal(err)
	}
	if _, err := OpenBolt(path); err == nil || !strings.Contains(err.Error(), "run chmod 700 on it") {
		t.Errorf("a directory that others write to: %v", err)
	}
	if err := os.Chmod(dir, 0o700); err != nil { //nolint:gosec // a directory
		t.Fatal(err)
	}
	if os.Geteuid() != 0 {
		return // only root can give a file away
	}
	if err := os.Chown(path, 65534, 65534); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenBolt(path); err == nil || !strings.Contains(err.Error(), "it belongs to user 65534") {
		t.Errorf("a registry of another owner: %v", err)
	}
}
