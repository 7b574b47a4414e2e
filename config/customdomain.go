package config

import (
	"fmt"
	"net/netip"
	"strings"

	"sallyport/internal/hostname"
)

// The section [custom_domain].

const (
	maxResolvers = 8
	maxCache     = 1 << 20

	// maxPrefix leaves room for "-wildcard" in the prefix's label.
	maxPrefix = hostname.MaxLabel - len("-wildcard")
)

func readCustomDomain(t table) CustomDomain {
	c := CustomDomain{
		Enabled:           t.flag("enabled", false),
		Resolvers:         list(t, "resolvers", nil, parseResolver),
		Prefix:            text(t, "prefix", "_dstack-app-address", parsePrefix),
		Compat:            t.flag("compat", true),
		MissesPerSource:   t.count("misses_per_source", 30, 0, 100_000),
		MissesPerSecond:   t.count("misses_per_second", 100, 1, 10_000),
		CacheSize:         t.count("cache_size", 4096, 8, maxCache),
		NegativeCacheSize: t.count("negative_cache_size", 4096, 8, maxCache),
	}
	if n := len(c.Resolvers); n > maxResolvers {
		t.fail("resolvers", "has %d members: want at most %d", n, maxResolvers)
	}
	return c
}

// parseResolver reads IP:port. A name would need a resolver to be found.
func parseResolver(s string) (netip.AddrPort, error) {
	a, err := netip.ParseAddrPort(s)
	if err != nil || !isHost(a.Addr()) || a.Port() == 0 {
		return netip.AddrPort{}, fmt.Errorf("%s is not a resolver: want IP:port, such as \"192.0.2.53:53\" or \"[2001:db8::53]:53\"", show(s))
	}
	return a, nil
}

// parsePrefix reads the first label of the names of TXT records and folds it to
// lower case.
func parsePrefix(s string) (string, error) {
	bad := func(r rune) bool { return !isAlphanumeric(r) && r != '_' && r != '-' }
	if s == "" || len(s) > maxPrefix || strings.IndexFunc(s, bad) >= 0 {
		return "", fmt.Errorf("%s is not a label for TXT records: want 1 to %d of a-z, 0-9, '_' and '-', such as \"_dstack-app-address\"", show(s), maxPrefix)
	}
	return strings.ToLower(s), nil
}
