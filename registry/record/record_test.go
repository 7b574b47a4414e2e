package record

import (
	"net/netip"
	"strings"
	"testing"

	"sallyport/internal/vm"
	"sallyport/registry/store"
)

func someRecord(t testing.TB) Record {
	t.Helper()
	policy, err := vm.NewPortPolicy(true, []vm.PortRule{{Port: 80}, {Port: 443, Proxy: true}})
	if err != nil {
		t.Fatal(err)
	}
	return Record{
		Evidence: DigestOf([]byte("evidence")), Refused: "TCB status OutOfDate",
		App: "app", Key: vm.WGKey{1}, Addr: netip.MustParseAddr("10.8.0.2"), Compose: vm.ComposeHash{2}, Policy: policy, Node: "gw1",
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
	closed, err := vm.NewPortPolicy(true, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, policy := range map[string]vm.PortPolicy{
		"unknown": {}, "open": vm.OpenPolicy(), "closed": closed, "rules": someRecord(t).Policy, "largest": largest,
	} {
		r := someRecord(t)
		r.Policy = policy
		raw, err := Encode(r)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got, err := Decode(raw); err != nil || got != r {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func TestBadRecordIsRefused(t *testing.T) {
	good, err := Encode(someRecord(t))
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
		"reason":       {"OutOfDate", strings.Repeat("x", MaxReason)},
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
		if r, err := Decode([]byte(bad)); err == nil || r != (Record{}) {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
	if _, err := Decode([]byte(strings.Repeat(" ", store.MaxValue) + string(good))); err == nil {
		t.Error("too long: accepted")
	}
}

func FuzzRecord(f *testing.F) {
	good, err := Encode(someRecord(f))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(`{"v":1,"app":"a","key":"","addr":"10.8.0.2","compose":"","policy":{"v":1,"restricted":true,"ports":[1,2]}}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		r, err := Decode(raw)
		if err != nil {
			if r != (Record{}) {
				t.Error("a record and an error")
			}
			return
		}
		again, err := Encode(r)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := Decode(again); err != nil || back != r {
			t.Errorf("%+v became %+v, %v", r, back, err)
		}
	})
}

func TestFactsAreReadBack(t *testing.T) {
	for _, f := range []Facts{
		{},
		{DeviceID: []byte{1}, MRSystem: []byte{2}, MRAggregated: []byte{3}, OSImageHash: []byte{4}, KeyProviderInfo: []byte(`{"<":1}`)},
		{InitScriptHashes: []Hex{}},
		{InitScriptHashes: []Hex{{1}, {2}}},
	} {
		text, err := EncodeFacts(f)
		if err != nil {
			t.Fatal(err)
		}
		if text == "" {
			continue
		}
		got, err := DecodeFacts(text)
		if again, _ := EncodeFacts(got); err != nil || again != text {
			t.Errorf("%s: read back as %s, %v", text, again, err)
		}
	}
	if _, err := EncodeFacts(Facts{KeyProviderInfo: make([]byte, maxFacts)}); err == nil {
		t.Error("facts of any size are stored")
	}
	for _, bad := range []string{"null x", `{"device_id":"0"}`, `{"other":1}`} {
		if _, err := DecodeFacts(bad); err == nil {
			t.Errorf("%s is read", bad)
		}
	}
}
