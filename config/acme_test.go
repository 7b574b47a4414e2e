package config

import (
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// issued is the least with a certificate from an authority.
const issued = `[[domain]]
name = "gw.example.com"
acme = true
[acme]
dns = "embedded"
embedded.addresses = ["203.0.113.7"]
`

func TestFiveLinesAreEnoughForACertificate(t *testing.T) {
	c := parse(t, issued)
	if d := c.Domains[0]; !d.ACME || !d.Wildcard || d.IncludeApex || d.Cert != "" {
		t.Errorf("domain %+v", d)
	}
	if a := c.ACME; a.Directory.String() != letsEncrypt || a.DNS != DNSEmbedded || a.Embedded.Zone != ZoneDomain || !a.CAA {
		t.Errorf("section %+v", a)
	}
}

func TestEveryKeyOfACMEIsRead(t *testing.T) {
	c := parse(t, `[[domain]]
name = "gw.example.com"
acme = true
include_apex = true
[acme]
directory = "https://ca.example/dir"
staging = "https://test.ca.example/dir"
roots = "roots.pem"
email = "admin@example.com"
profile = "shortlived"
eab_key_id = "kid-1"
eab_key_file = "/etc/eab"
renew_before = "240h"
caa = false
dns = "rfc2136"
resolvers = ["192.0.2.53:53"]
propagation_timeout = "2m"
propagation_nameservers = ["192.0.2.54:5353"]
[acme.fallback]
directory = "https://other.example/dir"
[acme.rfc2136]
server = "ns.example.com:53"
key_name = "gateway."
secret_file = "tsig"
algorithm = "hmac-sha512"
[acme.cloudflare]
token_file = "token"
base_url = "http://127.0.0.1:8080/v4"
[acme.exec]
program = "./hook"
args = ["--quiet"]
env = ["API_KEY"]
timeout = "10s"
[acme.embedded]
listen = ["127.0.0.1:5353"]
zone = "challenge"
addresses = ["203.0.113.7", "2001:db8::7"]
nameservers = ["NS1.example.com", "ns2.example.com.  203.0.113.8 2001:db8::8"]
`)
	want := ACME{
		Authority: Authority{
			Directory: &url.URL{Scheme: "https", Host: "ca.example", Path: "/dir"}, Staging: &url.URL{Scheme: "https", Host: "test.ca.example", Path: "/dir"},
			Roots: "/etc/gateway/roots.pem", Profile: "shortlived", EABKeyID: "kid-1", EABKeyFile: "/etc/eab",
		},
		Fallback: Authority{Directory: &url.URL{Scheme: "https", Host: "other.example", Path: "/dir"}},
		Email:    "admin@example.com", RenewBefore: 240 * time.Hour, DNS: DNSRFC2136,
		Resolvers: []netip.AddrPort{netip.MustParseAddrPort("192.0.2.53:53")}, PropagationTimeout: 2 * time.Minute,
		Nameservers: []netip.AddrPort{netip.MustParseAddrPort("192.0.2.54:5353")},
		RFC2136:     RFC2136{Server: "ns.example.com:53", KeyName: "gateway.", SecretFile: "/etc/gateway/tsig", Algorithm: "hmac-sha512"},
		Cloudflare:  Cloudflare{TokenFile: "/etc/gateway/token", BaseURL: &url.URL{Scheme: "http", Host: "127.0.0.1:8080", Path: "/v4"}},
		Exec:        Exec{Program: "/etc/gateway/hook", Args: []string{"--quiet"}, Env: []string{"API_KEY"}, Timeout: 10 * time.Second},
		Embedded: Embedded{
			Listen: []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:5353")}, Zone: ZoneChallenge,
			Addresses: []netip.Addr{netip.MustParseAddr("203.0.113.7"), netip.MustParseAddr("2001:db8::7")},
			Nameservers: []Nameserver{
				{Name: "ns1.example.com"},
				{Name: "ns2.example.com", Addresses: []netip.Addr{netip.MustParseAddr("203.0.113.8"), netip.MustParseAddr("2001:db8::8")}},
			},
		},
	}
	if d := cmp.Diff(want, c.ACME, addresses); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

func TestApexAloneNeedsNoDNS(t *testing.T) {
	d := parse(t, "[[domain]]\nname = \"gw.example.com\"\nacme = true\nwildcard = false").Domains[0]
	if !d.IncludeApex || d.Wildcard {
		t.Errorf("domain %+v: want the apex alone", d)
	}
}

func TestEndpointIsTheNodesAddressUnlessItIsAName(t *testing.T) {
	short := strings.Replace(issued, "embedded.addresses = [\"203.0.113.7\"]\n", "", 1)
	c := parse(t, short+"[wireguard]\nendpoint = \"198.51.100.1:51820\"")
	if got := c.ACME.Embedded.Addresses; len(got) != 1 || got[0].String() != "198.51.100.1" {
		t.Errorf("addresses %v", got)
	}
	const want = `f:4:2: acme.embedded.addresses: is missing: every name of the domain has them; want the addresses of this gateway from outside, such as ["203.0.113.7"]`
	checkProblems(t, []problemCase{
		{name: "none", whole: true, file: short, want: []string{want}},
		{name: "a name", whole: true, file: short + "[wireguard]\nendpoint = \"vpn.example.com:51820\"", want: []string{want}},
		{name: "challenges alone need none", whole: true, file: short + "embedded.zone = \"challenge\""},
	})
}

func TestACMEProblems(t *testing.T) {
	const ways = `"embedded" (the gateway is the name server; it needs only an NS record), "rfc2136" (BIND, Knot, PowerDNS), "cloudflare", "exec" (your own program)`
	domain := func(more string) string { return "[[domain]]\nname = \"a.example\"\nacme = true\n" + more }
	solver := func(name string) string { return domain("[acme]\ndns = \"" + name + "\"\n") }
	checkProblems(t, []problemCase{
		{name: "a wildcard without DNS", file: domain(""), want: []string{
			`f:7:1: domain.acme: a certificate for *.a.example needs a proof by DNS: set [acme] dns to one of ` + ways + `; or set wildcard = false for a.example alone, which is proved on port 443`,
		}},
		{name: "two sources", file: domain("cert = \"c\"\nkey = \"k\""), want: []string{
			`f:7:1: domain.acme: conflicts with cert and key: the gateway gets this certificate itself and keeps it in [store] path`,
		}},
		{name: "own evidence too", file: domain("ratls = true"), want: []string{
			`f:8:1: domain.ratls: conflicts with acme: want one source of the certificate`,
		}},
		{name: "neither wildcard nor apex", file: domain("wildcard = false\ninclude_apex = false"), want: []string{
			`f:8:1: domain.wildcard: and include_apex = false leave no name for a certificate: want one of the two`,
		}},
		{name: "apex and wildcard of files", file: "[[domain]]\nname = \"a.example\"\ncert = \"c\"\nkey = \"k\"\ninclude_apex = true\nwildcard = false", want: []string{
			`f:9:1: domain.include_apex: needs acme = true: other certificates are always for *.a.example`,
			`f:10:1: domain.wildcard: needs acme = true: other certificates are always for *.a.example`,
		}},
		{name: "too long", file: "[[domain]]\nname = \"" + strings.Repeat("a.", 85) + "a\"\nacme = true\n[acme]\ndns=\"embedded\"\nembedded.zone = \"challenge\"", want: []string{
			`f:6:1: domain.name: has 171 bytes, too many for acme: want at most 170`,
		}},
		{name: "unknown solver", file: "[acme]\ndns = \"route53\"", want: []string{
			`f:6:1: acme.dns: "route53" is not known: want one of ` + ways,
		}},
		{name: "rfc2136 without its keys", file: solver("rfc2136"), want: []string{
			`f:8:2: acme.rfc2136.server: is missing: want the primary name server of the zone, host or host:port`,
			`f:8:2: acme.rfc2136.key_name: is missing: want the name of the TSIG key, as the server knows it`,
			`f:8:2: acme.rfc2136.secret_file: is missing: want a file with the secret of the TSIG key, mode 0600: the text between the quotes that tsig-keygen prints`,
		}},
		{name: "cloudflare without token", file: solver("cloudflare"), want: []string{
			`f:8:2: acme.cloudflare.token_file: is missing: want a file with an API token, mode 0600, that may do Zone / Zone / Read and Zone / DNS / Edit`,
		}},
		{name: "a token in the file itself", file: solver("cloudflare") + "cloudflare.token = \"x\"\ncloudflare.token_file = \"f\"", want: []string{
			`f:10:1: acme.cloudflare.token: unknown key; known here: base_url, token_file`,
		}},
		{name: "exec without program", file: solver("exec"), want: []string{
			`f:8:2: acme.exec.program: is missing: want the path of the program that changes records`,
		}},
		{name: "exec along PATH", file: solver("exec") + "exec.program = \"hook\"", want: []string{
			`f:10:1: acme.exec.program: "hook": want the path of the program, such as "/usr/local/bin/dns-hook"`,
		}},
		{name: "a value for a variable", file: "[acme]\nexec.env = [\"KEY=secret\"]", want: []string{
			`f:6:13: acme.exec.env: "KEY=secret" is not the name of a variable: want letters, digits and '_'; the gateway's environment has the value`,
		}},
		{name: "DNS where clients are", file: solver("embedded") + "embedded.addresses = [\"203.0.113.7\"]\nembedded.listen = [\"0.0.0.0:443\"]", want: []string{
			`f:11:20: acme.embedded.listen: "0.0.0.0:443" is taken by proxy.listen: want another port`,
		}},
		{name: "directory in the clear", file: "[acme]\ndirectory = \"http://ca.example\"", want: []string{
			`f:6:1: acme.directory: "http://ca.example" is not an ACME directory: want an https URL, such as "https://acme-v02.api.letsencrypt.org/directory"`,
		}},
		{name: "half a binding", file: "[acme]\neab_key_id = \"k\"\n[acme.fallback]\ndirectory = \"https://b.example\"\neab_key_file = \"f\"", want: []string{
			`f:6:1: acme.eab_key_id: needs eab_key_file too: the authority issues both`,
			`f:9:1: acme.fallback.eab_key_file: needs eab_key_id too: the authority issues both`,
		}},
		{name: "the same authority twice", file: "[acme.fallback]\ndirectory = \"" + letsEncrypt + "\"", want: []string{
			`f:6:1: acme.fallback.directory: is the same as [acme] directory: want another authority, or none`,
		}},
		{name: "a fallback without directory", file: "[acme.fallback]\nprofile = \"x\"", want: []string{
			`f:5:2: acme.fallback.directory: is missing: want the https URL of the second authority's directory`,
		}},
		{name: "a mailbox with more", file: "[acme]\nemail = \"Bob <bob@example.com>\"", want: []string{
			`f:6:1: acme.email: "Bob <bob@example.com>" is not an e-mail address: want one such as "admin@example.com"`,
		}},
		{name: "a nameserver without sense", file: "[acme]\nembedded.nameservers = [\"ns.example.com 203.0.113\"]", want: []string{
			`f:6:25: acme.embedded.nameservers: "203.0.113" is not the address of a host: want one such as "10.8.0.2"`,
		}},
	})
}
