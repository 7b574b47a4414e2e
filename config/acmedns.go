package config

import (
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"
)

// The tables of [acme] that say how control of a domain is proved by DNS. Only the
// one that [acme] dns names counts.

// DNSSolver names how the records that prove control of a domain are published.
type DNSSolver string

// The solvers.
const (
	DNSEmbedded   DNSSolver = "embedded"   // the gateway answers for the domain itself
	DNSRFC2136    DNSSolver = "rfc2136"    // DNS UPDATE: BIND, Knot, PowerDNS, Microsoft
	DNSCloudflare DNSSolver = "cloudflare" // its API
	DNSExec       DNSSolver = "exec"       // a program of the operator's
)

// RFC2136 is a server that takes signed updates.
type RFC2136 struct {
	// Server is the primary server, host or host:port. Required.
	Server string `toml:"server"`
	// KeyName is the TSIG key's, and SecretFile holds its secret in base64 and nothing
	// else, readable for the gateway alone. Required.
	KeyName    string `toml:"key_name"`
	SecretFile string `toml:"secret_file"`
	// Algorithm is hmac-sha256 (the default) or hmac-sha512.
	Algorithm string `toml:"algorithm"`
}

// Cloudflare is its API, version 4.
type Cloudflare struct {
	// TokenFile holds an API token that may read the zone and edit its DNS, readable for
	// the gateway alone. Required.
	TokenFile string `toml:"token_file"`
	// BaseURL is where the API is. Default nil: Cloudflare's.
	BaseURL *url.URL `toml:"base_url"`
}

// Exec is a program that changes records; package acme/dns01/exec has its contract.
type Exec struct {
	// Program is its path. Required.
	Program string `toml:"program"`
	// Args come before its other arguments. Default none.
	Args []string `toml:"args"`
	// Env are the names of variables of the gateway that it gets. Default none.
	Env []string `toml:"env"`
	// Timeout is for one run. Default 1m.
	Timeout time.Duration `toml:"timeout"`
}

// Embedded is the gateway as a DNS server for the domains with acme = true.
type Embedded struct {
	// Listen are its addresses, IP:port, each by UDP and TCP; all but in tests want port
	// 53, since that is where the world asks. Default ["0.0.0.0:53", "[::]:53"].
	Listen []netip.AddrPort `toml:"listen"`
	// Zone says what it answers for. Default ZoneDomain.
	Zone EmbeddedZone `toml:"zone"`
	// Addresses are those of the gateway's nodes from outside: every name of a whole
	// domain has them. Default the address in wireguard.endpoint; required if there is
	// none.
	Addresses []netip.Addr `toml:"addresses"`
	// Nameservers are the names by which the parent refers to it, with addresses that
	// differ from Addresses. Default "ns.<domain>" for each domain.
	Nameservers []Nameserver `toml:"nameservers"`
}

// EmbeddedZone is what the gateway answers for.
type EmbeddedZone string

// The zones.
const (
	ZoneDomain    EmbeddedZone = "domain"    // everything in the domain
	ZoneChallenge EmbeddedZone = "challenge" // _acme-challenge of it, nothing else
)

// Nameserver is a name server's name and, if they are not all nodes', its addresses.
type Nameserver struct {
	Name      string
	Addresses []netip.Addr
}

const (
	maxDNSListen   = 16
	maxNodes       = 32
	maxNameservers = 13
	maxExecArgs    = 64
)

func dnsSolverWords() string {
	return fmt.Sprintf("%q (the gateway is the name server; it needs only an NS record), %q (BIND, Knot, PowerDNS), %q, %q (your own program)",
		DNSEmbedded, DNSRFC2136, DNSCloudflare, DNSExec)
}

func parseDNSSolver(s string) (DNSSolver, error) {
	if d := DNSSolver(s); slices.Contains([]DNSSolver{"", DNSEmbedded, DNSRFC2136, DNSCloudflare, DNSExec}, d) {
		return d, nil
	}
	return "", fmt.Errorf("%s is not known: want one of %s", show(s), dnsSolverWords())
}

func readRFC2136(t table, path func(string) (string, error)) RFC2136 {
	return RFC2136{
		Server:     optional(t, "server", orNone(parseWord)),
		KeyName:    optional(t, "key_name", orNone(parseWord)),
		SecretFile: optional(t, "secret_file", orNone(path)),
		Algorithm: text(t, "algorithm", "hmac-sha256", oneOf(
			choice[string]{"hmac-sha256", "hmac-sha256"}, choice[string]{"hmac-sha512", "hmac-sha512"})),
	}
}

func (r *RFC2136) require(t table) {
	t.need("server", "the primary name server of the zone, host or host:port")
	t.need("key_name", "the name of the TSIG key, as the server knows it")
	t.need("secret_file", "a file with the secret of the TSIG key, mode 0600: the text between the quotes that tsig-keygen prints")
}

func readCloudflare(t table, path func(string) (string, error)) Cloudflare {
	return Cloudflare{
		TokenFile: optional(t, "token_file", orNone(path)),
		BaseURL:   optional(t, "base_url", orNone(parseAPI)),
	}
}

// parseAPI reads where an HTTP API is. The token goes there: never in the clear, but
// to this machine.
func parseAPI(s string) (*url.URL, error) {
	u, err := parseWebhook(s)
	if err != nil {
		return nil, fmt.Errorf("%s is not the base URL of an API: want https, or http to localhost", show(s))
	}
	return u, nil
}

func (c *Cloudflare) require(t table) {
	t.need("token_file", "a file with an API token, mode 0600, that may do Zone / Zone / Read and Zone / DNS / Edit")
}

func readExec(t table, path func(string) (string, error)) Exec {
	e := Exec{
		Program: optional(t, "program", orNone(absolute(path))),
		Args:    list(t, "args", nil, parseArgument),
		Env:     list(t, "env", nil, parseVariable),
		Timeout: t.duration("timeout", "1m"),
	}
	t.most("args", len(e.Args), maxExecArgs)
	t.most("env", len(e.Env), maxExecArgs)
	return e
}

func (e *Exec) require(t table) {
	t.need("program", "the path of the program that changes records")
}

func readEmbedded(t table) Embedded {
	e := Embedded{
		Listen:      list(t, "listen", []string{"0.0.0.0:53", "[::]:53"}, parseListen),
		Zone:        text(t, "zone", "domain", oneOf(choice[EmbeddedZone]{"domain", ZoneDomain}, choice[EmbeddedZone]{"challenge", ZoneChallenge})),
		Addresses:   list(t, "addresses", nil, parseHost),
		Nameservers: list(t, "nameservers", nil, parseNameserver),
	}
	t.most("listen", len(e.Listen), maxDNSListen)
	t.most("addresses", len(e.Addresses), maxNodes)
	t.most("nameservers", len(e.Nameservers), maxNameservers)
	return e
}

func (e *Embedded) complete(t table, c *Config) {
	if t.has("listen") && len(t.get("listen").items) == 0 {
		t.fail("listen", `is empty: want at least one IP:port, such as "0.0.0.0:53"`)
	}
	for i, a := range e.Listen {
		if slices.ContainsFunc(c.Proxy.Listen, func(b netip.AddrPort) bool { return overlapIn(a, e.Listen, b, c.Proxy.Listen) }) {
			t.failItem("listen", i, "%q is taken by proxy.listen: want another port", a)
		}
	}
	if len(e.Addresses) > 0 || e.Zone == ZoneChallenge {
		return
	}
	if ip, err := netip.ParseAddr(c.WireGuard.Endpoint.Host); err == nil {
		e.Addresses = []netip.Addr{ip}
		return
	}
	if n := t.get("addresses"); n == nil || len(n.items) == 0 {
		t.fail("addresses", "is missing: every name of the domain has them; want the addresses of this gateway from outside, such as [\"203.0.113.7\"]")
	}
}

// need reports key if it is missing or empty; want says what it is.
func (t table) need(key, want string) {
	if t.empty(key) {
		t.fail(key, "is missing: want %s", want)
	}
}

// most reports more than limit members of the list key.
func (t table) most(key string, n, limit int) {
	if n > limit {
		t.fail(key, "has %d members: want at most %d", n, limit)
	}
}

// parseNameserver reads a name and addresses behind it, with spaces between.
func parseNameserver(s string) (n Nameserver, err error) {
	name, rest, _ := strings.Cut(s, " ")
	if n.Name, err = parseName(strings.TrimSuffix(name, ".")); err != nil {
		return Nameserver{}, err
	}
	for field := range strings.FieldsSeq(rest) {
		a, err := parseHost(field)
		if err != nil {
			return Nameserver{}, err
		}
		n.Addresses = append(n.Addresses, a)
	}
	if len(n.Addresses) > maxNodes {
		return Nameserver{}, fmt.Errorf("%s has too many addresses: want at most %d", n.Name, maxNodes)
	}
	return n, nil
}

func parseArgument(s string) (string, error) {
	if len(s) > 4096 || strings.ContainsRune(s, 0) {
		return "", fmt.Errorf("%s: want an argument of at most 4096 bytes", show(s))
	}
	return s, nil
}

// parseVariable reads the name of an environment variable, not its value.
func parseVariable(s string) (string, error) {
	if s == "" || len(s) > 255 || strings.IndexFunc(s, func(r rune) bool { return r != '_' && !isAlphanumeric(r) }) >= 0 {
		return "", fmt.Errorf("%s is not the name of a variable: want letters, digits and '_'; the gateway's environment has the value", show(s))
	}
	return s, nil
}
