package registry

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"sallyport/internal/vm"
	"sallyport/registry/store"
)

func someRecord(t testing.TB) record {
	t.Helper()
	policy, err := vm.NewPortPolicy(true, []vm.PortRule{{Port: 80}, {Port: 443, Proxy: true}})
	if err != nil {
		t.Fatal(err)
	}
	return record{
		Evidence: digestOf([]byte("evidence")), Refused: "TCB status OutOfDate",
		App: "app", Key: key("one"), Addr: netip.MustParseAddr("10.8.0.2"), Compose: compose("{}"), Policy: policy, Node: "gw1",
	}
}

func TestRecordComesBackAsItWas(t *testing.T) {
	many := make([]vm.PortRule, vm.MaxPortRules)
	for i := range many {
		many[i] = vm.PortRule{Port: uint16(65535 - i), Proxy: i%2 == 0}
	}
	largest, err := vm.NewPortPolicy(true, many)
	if err != nil {
		t.Fatal(err)
	}
	for name, policy := range map[string]vm.PortPolicy{
		"unknown": {}, "open": vm.OpenPolicy(), "closed": restricted(t), "rules": someRecord(t).Policy, "largest": largest,
	} {
		r := someRecord(t)
		r.Policy = policy
		raw, err := encodeRecord(r)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got, err := decodeRecord(raw); err != nil || got != r {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func TestBadRecordIsRefused(t *testing.T) {
	good, err := encodeRecord(someRecord(t))
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string][2]string{
		"version":      {`"v":1,"app"`, `"v":2,"app"`},
		"app":          {`"app":"app"`, `"app":"a-p"`},
		"no app":       {`"app":"app",`, ``},
		"key":          {`"key":"`, `"key":"A`},
		"address":      {"10.8.0.2", "fd00::1"},
		"compose hash": {`"compose":"`, `"compose":"0`},
		"node":         {"gw1", strings.Repeat("x", MaxNode+1)},
		"evidence":     {`"evidence":"`, `"evidence":"00`},
		"reason":       {"OutOfDate", strings.Repeat("x", maxRefusal)},
		"port 0":       {"[80]", "[0]"},
		"port 65536":   {"[80]", "[65536]"},
		"two rules":    {"[80]", "[443]"},
		"new field":    {`"v":1,"app"`, `"v":1,"vip":true,"app"`},
		"more behind":  {`"gw1"`, `"gw1"}{"v":1`},
	} {
		bad := strings.Replace(string(good), change[0], change[1], 1)
		if bad == string(good) {
			t.Fatalf("%s: %q is not in %s", name, change[0], good)
		}
		if r, err := decodeRecord([]byte(bad)); err == nil || r != (record{}) {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
	if _, err := decodeRecord([]byte(strings.Repeat(" ", store.MaxValue) + string(good))); err == nil {
		t.Error("too long: accepted")
	}
}

func FuzzRecord(f *testing.F) {
	good, err := encodeRecord(someRecord(f))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(`{"v":1,"app":"a","key":"","addr":"10.8.0.2","compose":"","policy":{"v":1,"restricted":true,"ports":[1,2]}}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		r, err := decodeRecord(raw)
		if err != nil {
			if r != (record{}) {
				t.Error("a record and an error")
			}
			return
		}
		again, err := encodeRecord(r)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := decodeRecord(again); err != nil || back != r {
			t.Errorf("%+v became %+v, %v", r, back, err)
		}
	})
}

// Whatever the store holds, a start refuses it, or what it believes gives nothing to two.
func FuzzRestore(f *testing.F) {
	good, err := encodeRecord(someRecord(f))
	if err != nil {
		f.Fatal(err)
	}
	k := wgKeyKey(key("one"))
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
