package join

import (
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"sallyport/guest"
	"sallyport/internal/gwtest"
	"sallyport/internal/vm"
	"sallyport/ratls"
)

// good are flags that ask for nothing impossible.
func good() flags {
	return flags{urls: []string{"https://gw.example.com"}, cert: "c", key: "k", ca: "a", mode: "auto", iface: "wg-guest", mtu: 1420}
}

func TestFlagsAreCheckedBeforeAnythingIsBegun(t *testing.T) {
	for name, test := range map[string]struct {
		change func(f *flags)
		says   string // "": nothing is wrong
	}{
		"good":             {func(*flags) {}, ""},
		"no URL":           {func(f *flags) { f.urls = nil }, "--url, --cert, --key and --ca are needed"},
		"URL":              {func(f *flags) { f.urls = []string{"https://a", "http://b"} }, `--url "http://b": want a URL such as`},
		"interface":        {func(f *flags) { f.iface = "a b" }, `--interface: interface name "a b"`},
		"mtu":              {func(f *flags) { f.mtu = 5 }, "--mtu: mtu 5: want 576 to"},
		"mode":             {func(f *flags) { f.mode = "none" }, `--mode "none"`},
		"forward":          {func(f *flags) { f.forwards = []string{"a:1"} }, "--forward needs --mode netstack"},
		"nothing to reach": {func(f *flags) { f.mode = "netstack" }, "needs --forward"},
		"bad forward":      {func(f *flags) { f.mode, f.forwards = "netstack", []string{"a"} }, `--forward "a": want HOST:PORT`},
		"gateway":          {func(f *flags) { f.gatewayApp = "gw" }, "--gateway-app-id: app id: "},
		"port 0":           {func(f *flags) { f.ports = []string{"0"} }, `--port "0"`},
		"port's option":    {func(f *flags) { f.ports = []string{"80,udp"} }, `--port "80,udp"`},
	} {
		f := good()
		test.change(&f)
		if _, err := f.check(); (err == nil) != (test.says == "") || err != nil && !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %v, want %q", name, err, test.says)
		}
	}
}

func TestFlagsSayWhatIsAskedFor(t *testing.T) {
	f := good()
	f.mode, f.forwards, f.ports = "netstack", []string{"a:1", "2=b:3"}, []string{"80", "443,proxy"}
	f.gatewayApp = "6A7E111111111111111111111111111111111111"
	policy, err := vm.NewPortPolicy(true, []vm.PortRule{{Port: 80}, {Port: 443, Proxy: true}})
	if err != nil {
		t.Fatal(err)
	}
	want := request{policy: policy, forwards: []guest.Forwarding{{Port: 1, To: "a:1"}, {Port: 2, To: "b:3"}}}
	if want.gateway, err = ratls.ParseAppID(strings.ToLower(f.gatewayApp)); err != nil {
		t.Fatal(err)
	}
	if got, err := f.check(); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v, want %+v", got, err, want)
	}
}

func TestFIFOInPlaceOfAFileIsRefusedByName(t *testing.T) {
	dir := t.TempDir()
	kms, err := ratls.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	pair, err := kms.Issue(ratls.Request{AppID: ratls.AppID{1}})
	if err != nil {
		t.Fatal(err)
	}
	if err := kms.Save(dir); err != nil {
		t.Fatal(err)
	}
	f := flags{cert: filepath.Join(dir, "vm.pem"), key: filepath.Join(dir, "vm.key"), ca: filepath.Join(dir, ratls.RootFile)}
	if err := ratls.WriteFiles(pair, f.cert, f.key); err != nil {
		t.Fatal(err)
	}
	if _, err := f.gateways(ratls.AppID{}); err != nil {
		t.Fatal(err)
	}
	for name, place := range map[string]func(f *flags) *string{
		"--cert": func(f *flags) *string { return &f.cert },
		"--key":  func(f *flags) *string { return &f.key },
		"--ca":   func(f *flags) *string { return &f.ca },
	} {
		fifo := filepath.Join(t.TempDir(), "fifo")
		err := gwtest.ErrorWithFIFO(t, fifo, func(fifo string) error {
			f := f
			*place(&f) = fifo
			_, err := f.gateways(ratls.AppID{})
			return err
		})
		if err == nil || !strings.Contains(err.Error(), "regular file") || !strings.Contains(err.Error(), fifo) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
