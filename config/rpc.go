package config

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"
)

// The sections about guests that register themselves: [rpc], [rpc.auth] and
// [registry].

// readRPC is given the root: what it needs of other sections is reported there.
func readRPC(root table, clients []netip.AddrPort, path func(string) (string, error)) RPC {
	t := root.sub("rpc")
	r := RPC{
		Listen:       text(t, "listen", "", parseListenOrOff),
		Cert:         optional(t, "cert", orNone(path)),
		Key:          optional(t, "key", orNone(path)),
		ClientCA:     optional(t, "client_ca", orNone(path)),
		DstackAgent:  optional(t, "dstack_agent", orNone(path)),
		PublicURL:    optional(t, "public_url", orNone(parsePublicURL)),
		RequireQuote: t.flag("require_quote", false),
		ProofGrace:   t.duration("proof_grace", "15m"),
		ExternalPort: t.port("external_port", portOf(clients)),
		InternalPort: t.port("internal_port", 8090),
		Auth:         readAuth(t.sub("auth")),
	}
	t.taken("listen", r.Listen, "proxy.listen", clients...)
	r.checkIdentity(t)
	if wg := root.sub("wireguard"); r.Listen.IsValid() && !wg.has("endpoint") {
		wg.fail("endpoint", "is missing: guests need it to reach the tunnel when they register (rpc.listen is set); "+
			"want IPv4:port or name:port, such as \"203.0.113.7:51820\"")
	}
	return r
}

// checkIdentity: the gateway's identity towards guests comes either from files or from the
// guest agent, and is complete as soon as they can call.
func (r *RPC) checkIdentity(t table) {
	for _, file := range []struct{ key, value, want string }{
		{"cert", r.Cert, "the PEM file of the gateway's certificate chain"},
		{"key", r.Key, "the PEM file of the certificate's private key"},
		{"client_ca", r.ClientCA, "the PEM file of the KMS's root certificate"},
	} {
		switch {
		case r.DstackAgent != "" && file.value != "":
			t.fail(file.key, "conflicts with dstack_agent, which provides it: remove one of the two")
		case r.DstackAgent == "" && r.Listen.IsValid() && t.empty(file.key):
			t.fail(file.key, "is missing: want %s, or dstack_agent for all three", file.want)
		}
	}
	if r.DstackAgent != "" && r.Listen.IsValid() && t.empty("public_url") {
		t.fail("public_url", "is missing: the agent issues the certificate for its host, and guests check that; "+
			"want https://host[:port]")
	}
}

// empty reports whether key is missing or the empty string.
func (t table) empty(key string) bool {
	n := t.get(key)
	return n == nil || n.kind == unstable.String && n.text == ""
}

// portOf is the first one's port.
func portOf(listen []netip.AddrPort) int {
	if len(listen) == 0 {
		return 0
	}
	return int(listen[0].Port())
}

// port reads a port that can be reached.
func (t table) port(key string, byDefault int) uint16 {
	return uint16(t.count(key, byDefault, 1, 65535)) //nolint:gosec // bounded by count
}

func readAuth(t table) Auth {
	return Auth{
		URL:      optional(t, "url", orNone(parseWebhook)),
		Timeout:  t.duration("timeout", "5s"),
		Interval: t.duration("interval", "5m"),
	}
}

func readRegistry(t table, h Health) Registry {
	r := Registry{
		AddressRest:  t.duration("address_rest", "10m"),
		RecycleAfter: text(t, "recycle_after", "10h", parseDurationOrNever),

		PrivateComposeOpens: text(t, "private_compose", "closed", parsePrivateCompose),
		MaxInstancesPerApp:  t.limit("max_instances_per_app", 1024),
		MaxPoolSharePerApp:  t.count("max_pool_share_per_app", 50, 1, 100),
	}
	if r.RecycleAfter > 0 && r.RecycleAfter < h.MaxHandshakeAge {
		t.fail("recycle_after", "%s is less than health.max_handshake_age (%s): healthy instances would be removed",
			r.RecycleAfter, h.MaxHandshakeAge)
	}
	return r
}

func parsePrivateCompose(s string) (opens bool, err error) {
	switch s {
	case "open", "closed":
		return s == "open", nil
	}
	return false, fmt.Errorf("%s: want \"closed\" or \"open\"", show(s))
}

// parsePublicURL reads https://host[:port]. Guests append the path of each method.
func parsePublicURL(s string) (*url.URL, error) {
	u, err := parseURL(s)
	if err != nil || u.Scheme != "https" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" {
		return nil, fmt.Errorf("%s is not the address of a gateway: want https://host[:port] without a path", show(s))
	}
	u.Path = ""
	return u, nil
}

// parseWebhook reads the URL of an authorisation webhook. In the clear it must not
// leave the host: anybody on the way could admit every guest.
func parseWebhook(s string) (*url.URL, error) {
	u, err := parseURL(s)
	if err != nil {
		return nil, fmt.Errorf("%s is not the URL of a webhook: want one such as \"https://auth.example.com/app-auth\", without user and fragment", show(s))
	}
	ip, _ := netip.ParseAddr(u.Hostname())
	if u.Scheme == "http" && u.Hostname() != "localhost" && !ip.IsLoopback() {
		return nil, fmt.Errorf("%s: an answer over http can be forged on its way: want https, or http to localhost", show(s))
	}
	return u, nil
}

// errURL stands for every fault of a URL; the caller adds what it wants.
var errURL = errors.New("not an http or https URL")

// parseURL reads an http or https URL whose host is a name or an address.
func parseURL(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Opaque != "" || u.User != nil || u.Fragment != "" {
		return nil, errURL
	}
	host, port := u.Hostname(), u.Port()
	if ip, err := netip.ParseAddr(host); err == nil && !isHost(ip) {
		return nil, errURL
	} else if err != nil {
		if _, err := parseName(host); err != nil {
			return nil, errURL
		}
	}
	if n, err := strconv.ParseUint(port, 10, 16); strings.HasSuffix(u.Host, ":") || port != "" && (err != nil || n == 0) {
		return nil, errURL
	}
	u.Host = strings.ToLower(u.Host)
	return u, nil
}
