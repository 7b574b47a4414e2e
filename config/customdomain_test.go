package config

import (
	"strings"
	"testing"
)

func TestCustomDomainProblems(t *testing.T) {
	section := func(s string) string { return "[custom_domain]\n" + s }
	checkProblems(t, []problemCase{
		{name: "resolvers", file: section(`resolvers = ["192.0.2.53", "dns.example:53", "0.0.0.0:53", "192.0.2.53:0", "[fe80::1%e]:53"]`), want: []string{
			`f:6:14: custom_domain.resolvers: "192.0.2.53" is not a resolver: want IP:port, such as "192.0.2.53:53" or "[2001:db8::53]:53"`,
			`f:6:28: custom_domain.resolvers: "dns.example:53" is not a resolver: want IP:port, such as "192.0.2.53:53" or "[2001:db8::53]:53"`,
			`f:6:46: custom_domain.resolvers: "0.0.0.0:53" is not a resolver: want IP:port, such as "192.0.2.53:53" or "[2001:db8::53]:53"`,
			`f:6:60: custom_domain.resolvers: "192.0.2.53:0" is not a resolver: want IP:port, such as "192.0.2.53:53" or "[2001:db8::53]:53"`,
			`f:6:76: custom_domain.resolvers: "[fe80::1%e]:53" is not a resolver: want IP:port, such as "192.0.2.53:53" or "[2001:db8::53]:53"`,
		}},
		{name: "most resolvers", file: section("resolvers = [" + strings.Repeat(`"192.0.2.53:53",`, maxResolvers) + "]")},
		{name: "too many resolvers", file: section("resolvers = [" + strings.Repeat(`"192.0.2.53:53",`, maxResolvers+1) + "]"), want: []string{
			`f:6:1: custom_domain.resolvers: has 9 members: want at most 8`,
		}},
		{name: "longest prefix", file: section(`prefix = "` + strings.Repeat("a", maxPrefix) + `"`)},
		{name: "prefix too long for -wildcard", file: section(`prefix = "` + strings.Repeat("a", maxPrefix+1) + `"`), want: []string{
			`f:6:1: custom_domain.prefix: "` + strings.Repeat("a", maxPrefix+1) + `" is not a label for TXT records: want 1 to 54 of a-z, 0-9, '_' and '-', such as "_dstack-app-address"`,
		}},
		{name: "no prefix", file: section(`prefix = ""`), want: []string{
			`f:6:1: custom_domain.prefix: "" is not a label for TXT records: want 1 to 54 of a-z, 0-9, '_' and '-', such as "_dstack-app-address"`,
		}},
		{name: "prefix of two labels", file: section(`prefix = "_a.b"`), want: []string{
			`f:6:1: custom_domain.prefix: "_a.b" is not a label for TXT records: want 1 to 54 of a-z, 0-9, '_' and '-', such as "_dstack-app-address"`,
		}},
		{name: "limits", file: section("misses_per_source = -1\nmisses_per_second = 0\ncache_size = 7\nnegative_cache_size = 1048577\ncompat = 1"), want: []string{
			`f:6:1: custom_domain.misses_per_source: -1 is out of range: want 0 to 100000`,
			`f:7:1: custom_domain.misses_per_second: 0 is out of range: want 1 to 10000`,
			`f:8:1: custom_domain.cache_size: 7 is out of range: want 8 to 1048576`,
			`f:9:1: custom_domain.negative_cache_size: 1048577 is out of range: want 8 to 1048576`,
			`f:10:1: custom_domain.compat: want true or false, have a whole number`,
		}},
	})
}
