package selfdial

import (
	"net"
	"net/netip"
	"testing"

	"sallyport/internal/gwtest"
)

func TestListenersAreKnownByEveryAddressThatLeadsToThem(t *testing.T) {
	l := New(netip.MustParsePrefix("10.8.0.1/16"))
	for _, at := range []string{"0.0.0.0:443", "[::]:8000", "127.0.0.1:9901", "10.8.0.1:53", "[::ffff:192.0.2.1]:80"} {
		l.Add(netip.MustParseAddrPort(at))
	}
	for to, want := range map[string]bool{
		"127.0.0.1:443":           true,
		"127.8.8.8:443":           true,
		"[::ffff:127.0.0.1]:443":  true,
		"0.0.0.0:443":             true,
		"10.8.0.1:443":            true,
		"10.8.0.2:443":            false, // a machine in the tunnel
		"10.8.0.1:444":            false, // nobody listens there
		"[::1]:8000":              true,
		"127.0.0.1:8000":          true, // [::] takes IPv4 too
		"10.8.0.1:8000":           true,
		"10.8.0.2:8000":           false,
		"127.0.0.1:9901":          true,
		"[::ffff:127.0.0.1]:9901": true,
		"[::]:9901":               true,
		"127.0.0.2:9901":          false,
		"10.8.0.1:9901":           false,
		"10.8.0.1:53":             true,
		"10.8.0.2:53":             false,
		"192.0.2.1:80":            true,
		"192.0.2.2:80":            false,
	} {
		if got := l.Contain(netip.MustParseAddrPort(to)); got != want {
			t.Errorf("%s: %v, want %v", to, got, want)
		}
	}
}

// Which addresses are this machine's is asked anew each time: they come and go.
func TestOwnAddressesAreAskedOfTheKernel(t *testing.T) {
	if missing := gwtest.Missing(); missing != "" {
		t.Skip(missing)
	}
	here, there := gwtest.NewHost(t, "here"), gwtest.NewHost(t, "there")
	l := New(netip.Prefix{})
	l.Add(netip.MustParseAddrPort("0.0.0.0:443"), netip.MustParseAddrPort("[::]:443"))
	check := func(to string, want bool) {
		t.Helper()
		err := here.Do(func() error {
			if got := l.Contain(netip.MustParseAddrPort(to)); got != want {
				t.Errorf("%s: %v, want %v", to, got, want)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	check("192.0.2.1:443", false) // no way there
	check("[2001:db8::1]:443", false)
	gwtest.Connect(t, here, "eth0", []netip.Prefix{netip.MustParsePrefix("192.0.2.1/24"), netip.MustParsePrefix("2001:db8::1/64")},
		there, "eth0", []netip.Prefix{netip.MustParsePrefix("192.0.2.2/24"), netip.MustParsePrefix("2001:db8::2/64")})
	check("192.0.2.1:443", true)
	check("192.0.2.2:443", false)
	check("[2001:db8::1]:443", true)
	check("[2001:db8::2]:443", false)
	check("192.0.2.1:444", false)
}

func BenchmarkContain(b *testing.B) {
	l := New(netip.Prefix{})
	l.Add(netip.MustParseAddrPort("0.0.0.0:443"), netip.MustParseAddrPort("127.0.0.1:9901"))
	to := map[string]netip.AddrPort{"another port": netip.MustParseAddrPort("10.8.0.2:80")}
	if addrs, err := net.InterfaceAddrs(); err == nil && len(addrs) > 1 {
		if n, ok := addrs[1].(*net.IPNet); ok {
			ip, _ := netip.AddrFromSlice(n.IP)
			to["asked of the kernel"] = netip.AddrPortFrom(ip.Unmap().Next(), 443)
		}
	}
	for name, to := range to {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				l.Contain(to)
			}
		})
	}
}
