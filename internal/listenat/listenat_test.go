package listenat

import (
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

func addresses(list string) (all []netip.AddrPort) {
	for a := range strings.FieldsSeq(list) {
		all = append(all, netip.MustParseAddrPort(a))
	}
	return all
}

func TestAddressesMeanWhatTheySay(t *testing.T) {
	for _, tc := range []struct{ list, with, without string }{
		{"0.0.0.0:443", "0.0.0.0:443", "0.0.0.0:443"},
		{"[::]:443", "0.0.0.0:443 [::]:443", "0.0.0.0:443"},
		{"0.0.0.0:443 [::]:443", "0.0.0.0:443 [::]:443", "0.0.0.0:443"},
		{"[::]:443 0.0.0.0:443", "[::]:443 0.0.0.0:443", "0.0.0.0:443"},
		{"[::]:443 192.0.2.1:443", "[::]:443 192.0.2.1:443", "192.0.2.1:443"},
		{"[::]:443 192.0.2.1:53", "0.0.0.0:443 [::]:443 192.0.2.1:53", "0.0.0.0:443 192.0.2.1:53"},
		{"[2001:db8::1]:443", "[2001:db8::1]:443", "[2001:db8::1]:443"}, // which fails, and says why
		{"[::]:0", "[::]:0", "0.0.0.0:0"},
		{"", "", ""},
	} {
		if got := resolve(addresses(tc.list), true); !slices.Equal(got, addresses(tc.with)) {
			t.Errorf("%s: %v", tc.list, got)
		}
		if got := resolve(addresses(tc.list), false); !slices.Equal(got, addresses(tc.without)) {
			t.Errorf("%s without IPv6: %v", tc.list, got)
		}
	}
}

func TestListenerIsReachedWhereItsAddressSays(t *testing.T) {
	for _, tc := range []struct {
		listen    string
		ipv6      bool
		four, six bool
	}{
		{"0.0.0.0:0", true, true, false},
		{"0.0.0.0:0", false, true, false},
		{"127.0.0.1:0", true, true, false},
		{"[::]:0", true, true, true},
		{"[::]:0", false, true, false},
		{"[::1]:0", true, false, true},
	} {
		if tc.ipv6 && !HasIPv6() {
			continue
		}
		l, err := tcp(t.Context(), netip.MustParseAddrPort(tc.listen), tc.ipv6)
		if err != nil {
			t.Errorf("%s: %v", tc.listen, err)
			continue
		}
		_, port, err := net.SplitHostPort(l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		for host, want := range map[string]bool{"127.0.0.1": tc.four, "::1": tc.six} {
			c, err := net.Dial("tcp", net.JoinHostPort(host, port))
			if err == nil {
				c.Close()
			}
			if (err == nil) != want {
				t.Errorf("listening on %s (IPv6 %t): dial %s: %v", tc.listen, tc.ipv6, host, err)
			}
		}
		l.Close()
	}
}

// Of a kernel without IPv6 alone, which make test-kernel boots.
func TestKernelWithoutIPv6IsSaid(t *testing.T) {
	if HasIPv6() {
		t.Skip("the kernel has IPv6")
	}
	if _, err := TCP(t.Context(), netip.MustParseAddrPort("[::1]:0")); err == nil || !strings.Contains(err.Error(), "the kernel has no IPv6") {
		t.Errorf("error %v", err)
	}
	l, err := TCP(t.Context(), netip.MustParseAddrPort("[::]:0"))
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
}
