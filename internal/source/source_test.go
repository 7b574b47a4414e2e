package source

import (
	"net/netip"
	"testing"
)

func TestSourceIsAnIPv4AddressOrAnIPv6Network(t *testing.T) {
	for in, want := range map[string][2]string{
		"192.0.2.1":           {"192.0.2.1/32", "192.0.2.0/24"},
		"::ffff:192.0.2.1":    {"192.0.2.1/32", "192.0.2.0/24"},
		"2001:db8:1:2:3::4":   {"2001:db8:1:2::/64", "2001:db8:1::/48"},
		"2001:db8:1:2:ffff::": {"2001:db8:1:2::/64", "2001:db8:1::/48"},
		"fe80::1%eth0":        {"fe80::/64", "fe80::/48"},
		"::1":                 {"::/64", "::/48"},
		"0.0.0.0":             {"0.0.0.0/32", "0.0.0.0/24"},
	} {
		a := netip.MustParseAddr(in)
		if got := [2]string{Of(a).String(), Network(a, 24, 48).String()}; got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
	if got := Of(netip.Addr{}); got != (netip.Prefix{}) {
		t.Errorf("no address: %s", got)
	}
}
