package registry

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// fileWith makes a store of n instances and returns the bytes of its file.
func fileWith(t testing.TB, n int) []byte {
	t.Helper()
	g := newRig(t, nil)
	for i := range n {
		g.register(t, request("app", fmt.Sprintf("i%d", i)))
	}
	g.store.Close()
	raw, err := os.ReadFile(g.path)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestDamagedStoreIsKeptAndTheWayOutTold(t *testing.T) {
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

func TestStoreThatContradictsItselfIsRefused(t *testing.T) {
	for name, change := range map[string]Change{
		"key of nobody":       put(wgKeyKey(key("stranger")), "nobody"),
		"key of another":      put(wgKeyKey(key("one")), "two"),
		"address of another":  put(addrPrefix+"10.8.0.2", "two"),
		"address of nobody":   put(addrPrefix+"10.8.0.99", "nobody"),
		"no such address":     put(addrPrefix+"10.8.0.999", "one"),
		"lost key":            {Key: wgKeyKey(key("one"))},
		"lost instance":       {Key: instancePrefix + "one"},
		"record":              put(instancePrefix+"one", "{}"),
		"instance id":         put(instancePrefix+"../one", `{"v":1}`),
		"unknown kind":        put(storePrefix+"color/red", ""),
		"override":            put(overridePrefix+"one", `{"v":1,"ports":[0]}`),
		"version of a record": put(instancePrefix+"one", `{"v":2}`),
	} {
		t.Run(name, func(t *testing.T) {
			g := newRig(t, nil)
			g.register(t, request("app", "one"))
			g.register(t, request("app", "two"))
			commit(t, g.store, Txn{Then: []Change{change}})
			_, err := Open(t.Context(), g.opts)
			if err == nil || !strings.Contains(err.Error(), "cannot have written") {
				t.Errorf("opened: %v", err)
			}
		})
	}
}

func TestFullDiskRefusesRegistrationsAndKeepsRouting(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("not root: cannot mount a small file system")
	}
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "mode=0700,size=256k"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	g := newRig(t, nil)
	g.store.Close()
	g.path = filepath.Join(dir, "registry.db")
	g.open(t)
	t.Cleanup(func() { g.store.Close() })

	registered, row := 0, 0 // refusals in a row: after one a smaller change may fit
	for n := 0; row < 10 && n < 10_000; n++ {
		_, err := g.Register(t.Context(), request("app", fmt.Sprintf("i%d", n)))
		switch {
		case err == nil:
			registered, row = registered+1, 0
		case errors.Is(err, ErrStore) && errors.Is(err, unix.ENOSPC):
			row++
		default:
			t.Fatalf("registration %d: %v", n, err)
		}
	}
	if registered < 10 || row < 10 || len(g.board.all()) != registered || g.Pool().Used != registered {
		t.Errorf("%d registered, %d published, pool %+v", registered, len(g.board.all()), g.Pool())
	}
	g.register(t, request("app", "i0")) // unchanged: needs no disk
	g.consistent(t)
	g.restart(t)
	if len(g.board.all()) != registered {
		t.Errorf("%d of %d after a restart", len(g.board.all()), registered)
	}
	g.consistent(t)
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
