package registry

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"sallyport/registry/store"
)

func TestStoreThatContradictsItselfIsRefused(t *testing.T) {
	for name, change := range map[string]store.Change{
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
			g.commit(t, change)
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
	if registered < 10 || row < 10 || len(g.board.all()) != registered || g.table.poolStatus().Used != registered {
		t.Errorf("%d registered, %d published, pool %+v", registered, len(g.board.all()), g.table.poolStatus())
	}
	g.register(t, request("app", "i0")) // unchanged: needs no disk
	g.consistent(t)
	g.restart(t)
	if len(g.board.all()) != registered {
		t.Errorf("%d of %d after a restart", len(g.board.all()), registered)
	}
	g.consistent(t)
}
