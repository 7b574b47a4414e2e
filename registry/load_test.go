package registry

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sallyport/internal/vm"
	"sallyport/registry/record"
	"sallyport/registry/store"
)

func TestStoreThatContradictsItselfIsRefused(t *testing.T) {
	for name, change := range map[string]store.Change{
		"key of nobody":       put(record.PeerKey(key("stranger")), "nobody"),
		"key of another":      put(record.PeerKey(key("one")), "two"),
		"address of another":  put(record.AddrPrefix+"10.8.0.2", "two"),
		"address of nobody":   put(record.AddrPrefix+"10.8.0.99", "nobody"),
		"no such address":     put(record.AddrPrefix+"10.8.0.999", "one"),
		"lost key":            {Key: record.PeerKey(key("one"))},
		"lost instance":       {Key: record.InstancePrefix + "one"},
		"record":              put(record.InstancePrefix+"one", "{}"),
		"instance id":         put(record.InstancePrefix+"../one", `{"v":1}`),
		"unknown kind":        put(record.Prefix+"color/red", ""),
		"override":            put(record.OverridePrefix+"one", `{"v":1,"ports":[0]}`),
		"version of a record": put(record.InstancePrefix+"one", `{"v":2}`),
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

// Whatever the store holds, a start refuses it, or what it believes gives nothing to two.
func FuzzRestore(f *testing.F) {
	good, err := record.Encode(record.Record{App: "app", Key: key("one"), Addr: netip.MustParseAddr("10.8.0.2"), Node: "gw1"})
	if err != nil {
		f.Fatal(err)
	}
	k := record.PeerKey(key("one"))
	f.Add("registry/instance/one", good, k, []byte("one"), "registry/addr/10.8.0.2", []byte("one"))
	f.Add("registry/override/one", []byte("null"), k, []byte("one"), "registry/addr/10.8.0.2", []byte("resting 17"))
	f.Add("registry/instance/one", good, "registry/instance/two", good, k, []byte("two"))
	f.Fuzz(func(t *testing.T, k1 string, v1 []byte, k2 string, v2 []byte, k3 string, v3 []byte) {
		table, err := newTable(Options{Network: pfx("10.8.0.1/16"), Pool: pfx("10.8.0.0/24")})
		if err != nil {
			t.Fatal(err)
		}
		pairs := []store.Pair{{Key: k1, Value: v1, Revision: 1}}
		for _, p := range []store.Pair{{Key: k2, Value: v2, Revision: 2}, {Key: k3, Value: v3, Revision: 3}} {
			if p.Key != k1 && (len(pairs) == 1 || p.Key != k2) { // a store has each key once
				pairs = append(pairs, p)
			}
		}
		if table.restore(pairs, time.Now(), time.Minute) != nil {
			return
		}
		keys, addrs := make(map[vm.WGKey]bool), make(map[netip.Addr]bool)
		for id, e := range table.instances {
			if keys[e.record.Key] || addrs[e.record.Addr] {
				t.Errorf("instance %s has the key or address of another", id)
			}
			keys[e.record.Key], addrs[e.record.Addr] = true, true
		}
	})
}
