package config

import (
	"net/netip"

	"github.com/pelletier/go-toml/v2/unstable"

	"sallyport/internal/ciphers"
	"sallyport/internal/listenat"
)

// The sections of the file, read and checked key by key. The defaults of the
// schema are here.

// maxDomains bounds the [[domain]] tables.
const maxDomains = 1024

// readConfig reads all sections; relative paths start at dir.
func readConfig(t table, dir string) *Config {
	path := pathIn(dir)
	acme := readACME(t.sub("acme"), path)
	c := &Config{
		Domains: readDomains(t, path, acme.DNS),
		ACME:    acme,
		Proxy:   readProxy(t.sub("proxy")),
		Health:  readHealth(t.sub("health")),
		Store:   readStore(t.sub("store"), path),
		Log:     readLog(t.sub("log")),
	}
	c.WireGuard = readWireGuard(t.sub("wireguard"), c.Store, path)
	c.Instances = readInstances(t, c.WireGuard)
	c.Registry = readRegistry(t.sub("registry"), c.Health)
	c.CustomDomain = readCustomDomain(t.sub("custom_domain"))
	c.Attestation = readAttestation(t.sub("attestation"), path)
	c.RPC = readRPC(t, c.Proxy.Listen, path)
	c.Admin = readAdmin(t.sub("admin"), c.Proxy.Listen, c.RPC.Listen)
	c.ACME.complete(t.sub("acme"), c)
	return c
}

func readDomains(t table, path func(string) (string, error), solver DNSSolver) []Domain {
	if n := t.get("domain"); n == nil || n.kind == unstable.Array && len(n.items) == 0 {
		t.fail("domain", `is missing: want at least one [[domain]] with name, and acme, or cert and key, or ratls`)
	}
	var domains []Domain
	first := make(map[string]position)
	for _, t := range t.subs("domain", maxDomains) {
		d := Domain{Name: required(t, "name", `the base domain, such as "gw.example.com"`, parseDomain)}
		if at, ok := first[d.Name]; ok && d.Name != "" {
			t.fail("name", "%q is already the domain at line %d", d.Name, at.line)
		} else {
			first[d.Name] = t.place("name")
		}
		readCertificate(t, path, &d, solver)
		domains = append(domains, d)
	}
	return domains
}

// readCertificate reads which of the ways the domain gets its certificate.
func readCertificate(t table, path func(string) (string, error), d *Domain, solver DNSSolver) {
	cert, key := t.has("cert"), t.has("key") // both are asked for: that makes them known
	files := cert || key
	d.ACME = t.flag("acme", false)
	d.RATLS = t.flag("ratls", false)
	readWhich(t, d)
	switch {
	case d.RATLS && d.ACME:
		t.fail("ratls", "conflicts with acme: want one source of the certificate")
	case d.RATLS && files:
		t.fail("ratls", "conflicts with cert and key: the gateway makes this certificate itself and keeps its key in memory")
	case d.ACME && files:
		t.fail("acme", "conflicts with cert and key: the gateway gets this certificate itself and keeps it in [store] path")
	case d.ACME:
		readIssued(t, d, solver)
	case !d.RATLS:
		d.Cert = required(t, "cert", "the PEM file of the certificate chain, or acme = true, or ratls = true", path)
		d.Key = required(t, "key", "the PEM file of the certificate's private key", path)
	}
}

func readProxy(t table) Proxy {
	p := Proxy{
		Listen:                  list(t, "listen", []string{"0.0.0.0:443", "[::]:443"}, parseListen),
		Loops:                   t.count("loops", 0, 0, 1024),
		MaxConnections:          t.limit("max_connections", 0),
		MaxConnectionsPerApp:    t.limit("max_connections_per_app", 2000),
		MaxConnectionsPerSource: t.limit("max_connections_per_source", 0),
		ProxyProtocolFrom:       list(t, "proxy_protocol_from", nil, parseNetwork),
		TLSMinVersion:           text(t, "tls_min_version", "1.2", parseTLSVersion),
		TLS12Ciphers:            list(t, "tls12_ciphers", ciphers.Names(ciphers.Intermediate()), ciphers.Parse),
		UpstreamRATLS:           readApps(t, "upstream_ratls"),
		ProxyTLVs:               readApps(t, "proxy_tlvs"),
		Timeouts:                readTimeouts(t.sub("timeouts")),
	}
	// A quarter, rounded up: 0 is a quarter of no limit alone.
	p.MaxConnectionsPerAppAndSource = t.limit("max_connections_per_app_and_source", p.MaxConnectionsPerApp/4+min(p.MaxConnectionsPerApp%4, 1))
	if t.has("listen") && len(t.get("listen").items) == 0 {
		t.fail("listen", `is empty: want at least one IP:port, such as "0.0.0.0:443"`)
	}
	if n := t.get("tls12_ciphers"); n != nil && n.kind == unstable.Array && len(n.items) == 0 {
		t.fail("tls12_ciphers", `is empty: for TLS 1.3 only, set tls_min_version = "1.3"`)
	}
	first := make(map[netip.AddrPort]int)
	for i, a := range p.Listen {
		if _, twice := first[a]; twice && a.Port() != 0 {
			t.failItem("listen", i, "%q is listed twice", a)
		}
		first[a] = i
	}
	return p
}

func readTimeouts(t table) Timeouts {
	to := Timeouts{
		Hello:     t.duration("hello", "5s"),
		Handshake: t.duration("handshake", "10s"),
		Connect:   t.duration("connect", "5s"),
		Hedge:     t.duration("hedge", "250ms"),
		Idle:      text(t, "idle", "10m", parseDurationOrNever),
		Drain:     t.duration("drain", "30s"),
	}
	if to.Connect > 0 && to.Hedge >= to.Connect {
		// Only one of them may be in the file: point to that one.
		key := "hedge"
		if !t.has(key) {
			key = "connect"
		}
		t.fail(key, "hedge (%s) must be less than connect (%s): the second attempt would never start", to.Hedge, to.Connect)
	}
	return to
}

func readHealth(t table) Health {
	return Health{MaxHandshakeAge: t.duration("max_handshake_age", "5m")}
}

func readStore(t table, path func(string) (string, error)) Store {
	return Store{Path: text(t, "path", "/var/lib/gateway", path)}
}

func readLog(t table) Log {
	return Log{
		Level:  text(t, "level", "info", parseLevel),
		Format: text(t, "format", "text", parseFormat),
		Access: t.flag("access", false),
	}
}

func readAdmin(t table, clients []netip.AddrPort, guests netip.AddrPort) Admin {
	a := Admin{Listen: text(t, "listen", "127.0.0.1:9901", parseListenOrOff), Hosts: list(t, "hosts", nil, parseName), Pprof: t.flag("pprof", false)}
	if !t.taken("listen", a.Listen, "proxy.listen", clients...) {
		t.taken("listen", a.Listen, "rpc.listen", guests)
	}
	return a
}

// taken reports that a, the value of key, cannot be listened on beside one of
// the others, which are by's; it returns whether that is so.
func (t table) taken(key string, a netip.AddrPort, by string, others ...netip.AddrPort) bool {
	for _, other := range others {
		if overlapIn(a, []netip.AddrPort{a}, other, others) {
			t.fail(key, "%q is taken by %s %q: want another port", a, by, other)
			return true
		}
	}
	return false
}

// overlapIn reports whether a, one of as, and b, one of bs, cannot both be listened
// on: [::] may be IPv4 too.
func overlapIn(a netip.AddrPort, as []netip.AddrPort, b netip.AddrPort, bs []netip.AddrPort) bool {
	a4, _ := listenat.IPv4Of(a, as)
	b4, _ := listenat.IPv4Of(b, bs)
	return overlap(a, b) || overlap(a4, b) || overlap(a, b4) || overlap(a4, b4)
}

// overlap reports whether a and b cannot both be listened on.
func overlap(a, b netip.AddrPort) bool {
	if !a.IsValid() || !b.IsValid() || a.Port() != b.Port() || a.Port() == 0 || a.Addr().Is4() != b.Addr().Is4() {
		return false
	}
	return a.Addr() == b.Addr() || a.Addr().IsUnspecified() || b.Addr().IsUnspecified()
}
