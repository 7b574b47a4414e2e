package config

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A problemCase is a file and all that is wrong with it. The file begins with
// "smallest", 4 lines, unless whole is set.
type problemCase struct {
	name, file string
	want       []string
	whole      bool
}

func checkProblems(t *testing.T, cases []problemCase) {
	t.Helper()
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			file := tc.file
			if !tc.whole {
				file = smallest + file
			}
			var got []string
			if c, err := Parse("f", []byte(file)); err != nil {
				if c != nil {
					t.Error("both a Config and an error")
				}
				got = strings.Split(err.Error(), "\n")
			}
			if d := cmp.Diff(tc.want, got); d != "" {
				t.Errorf("-want +got:\n%s", d)
			}
		})
	}
}

func TestDomainProblems(t *testing.T) {
	domain := func(name string) string {
		return "[[domain]]\nname = " + name + "\ncert = \"c\"\nkey = \"k\"\n"
	}
	checkProblems(t, []problemCase{
		{name: "none", whole: true, want: []string{
			`f:1:1: domain: is missing: want at least one [[domain]] with name, and acme, or cert and key, or ratls`,
		}},
		{name: "empty list", whole: true, file: "domain = []", want: []string{
			`f:1:1: domain: is missing: want at least one [[domain]] with name, and acme, or cert and key, or ratls`,
		}},
		{name: "wildcard", file: domain(`"*.a.example"`), want: []string{
			`f:6:1: domain.name: "*.a.example": write it without "*.": the gateway serves the names below it`,
		}},
		{name: "trailing dot", file: domain(`"a.example."`), want: []string{
			`f:6:1: domain.name: "a.example.": write it without the dot at its end`,
		}},
		{name: "twice, in another case", file: domain(`"GW.example.COM"`), want: []string{
			`f:6:1: domain.name: "gw.example.com" is already the domain at line 2`,
		}},
		{name: "inside another domain", file: domain(`"b.gw.example.com"`)},
		{name: "no name", file: domain(`"a_b.example"`), want: []string{
			`f:6:1: domain.name: "a_b.example" is not a DNS name: want labels of a-z, 0-9 and inner '-', such as "gw.example.com"; other letters in their xn-- form`,
		}},
		{name: "an address", file: domain(`"192.0.2.1"`), want: []string{
			`f:6:1: domain.name: "192.0.2.1" is not a DNS name: want one that does not end in a number, up to 253 bytes`,
		}},
		{name: "longest", file: domain(`"` + strings.Repeat("a.", 94) + `a"`)},
		{name: "too long", file: domain(`"` + strings.Repeat("a.", 94) + `aa"`), want: []string{
			`f:6:1: domain.name: "a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a."… is too long: want at most 189 bytes`,
		}},
		{name: "nothing in it", file: "[[domain]]\n", want: []string{
			`f:5:3: domain.name: is missing: want the base domain, such as "gw.example.com"`,
			`f:5:3: domain.cert: is missing: want the PEM file of the certificate chain, or acme = true, or ratls = true`,
			`f:5:3: domain.key: is missing: want the PEM file of the certificate's private key`,
		}},
		{name: "certificate without key", file: "[[domain]]\nname = \"a.example\"\ncert = \"c\"", want: []string{
			`f:5:3: domain.key: is missing: want the PEM file of the certificate's private key`,
		}},
		{name: "key without certificate", file: "[[domain]]\nname = \"a.example\"\nkey = \"c\"", want: []string{
			`f:5:3: domain.cert: is missing: want the PEM file of the certificate chain, or acme = true, or ratls = true`,
		}},
		{name: "empty file name", file: "[[domain]]\nname = \"a.example\"\nkey = \"\"\ncert = \"c\"", want: []string{
			`f:7:1: domain.key: want the name of a file or directory`,
		}},
		{name: "own evidence", file: "[[domain]]\nname = \"a.example\"\nratls = true"},
		{name: "no own evidence", file: domain(`"a.example"`) + "ratls = false"},
		{name: "own evidence and files", file: domain(`"a.example"`) + "ratls = true", want: []string{
			`f:9:1: domain.ratls: conflicts with cert and key: the gateway makes this certificate itself and keeps its key in memory`,
		}},
		{name: "own evidence and a key", file: "[[domain]]\nname = \"a.example\"\nkey = \"k\"\nratls = true", want: []string{
			`f:8:1: domain.ratls: conflicts with cert and key: the gateway makes this certificate itself and keeps its key in memory`,
		}},
		{name: "own evidence and acme", file: "[[domain]]\nname = \"a.example\"\nratls = true\nacme = true", want: []string{
			`f:7:1: domain.ratls: conflicts with acme: want one source of the certificate`,
		}},
		{name: "own evidence as text", file: "[[domain]]\nname = \"a.example\"\nratls = \"yes\"", want: []string{
			`f:5:3: domain.cert: is missing: want the PEM file of the certificate chain, or acme = true, or ratls = true`,
			`f:5:3: domain.key: is missing: want the PEM file of the certificate's private key`,
			`f:7:1: domain.ratls: want true or false, have a string`,
		}},
		{name: "one table", whole: true, file: "[domain]\nname = \"a.example\"", want: []string{
			`f:1:2: domain: want tables, [[domain]], have a table`,
		}},
	})
}

func TestProxyProblems(t *testing.T) {
	proxy := func(s string) string { return "[proxy]\n" + s }
	checkProblems(t, []problemCase{
		{name: "listen without address", file: proxy(`listen = [":443"]`), want: []string{
			`f:6:11: proxy.listen: ":443" has no address: want "0.0.0.0:443" or "[::]:443" for all addresses`,
		}},
		{name: "listen on names, without port, on a zone, above 65535", file: proxy(
			`listen = ["localhost:443", "1.2.3.4", "[fe80::1%eth0]:443", "1.2.3.4:65536"]`), want: []string{
			`f:6:11: proxy.listen: "localhost:443" is not an address to listen on: want IP:port, such as "0.0.0.0:443" or "[::]:443"`,
			`f:6:28: proxy.listen: "1.2.3.4" is not an address to listen on: want IP:port, such as "0.0.0.0:443" or "[::]:443"`,
			`f:6:39: proxy.listen: "[fe80::1%eth0]:443" is not an address to listen on: want IP:port, such as "0.0.0.0:443" or "[::]:443"`,
			`f:6:61: proxy.listen: "1.2.3.4:65536" is not an address to listen on: want IP:port, such as "0.0.0.0:443" or "[::]:443"`,
		}},
		{name: "listen twice", file: proxy("listen = [\n \"1.2.3.4:1\",\n \"[::]:1\",\n \"1.2.3.4:1\"]"), want: []string{
			`f:9:2: proxy.listen: "1.2.3.4:1" is listed twice`,
		}},
		{name: "any free port twice", file: proxy(`listen = ["127.0.0.1:0", "127.0.0.1:0"]`)},
		{name: "listen nowhere", file: proxy("listen = []"), want: []string{
			`f:6:1: proxy.listen: is empty: want at least one IP:port, such as "0.0.0.0:443"`,
		}},
		{name: "numbers", file: proxy("loops = 1025\nmax_connections = -1\nmax_connections_per_app = 99999999999999999999\nmax_connections_per_source = 1.5"), want: []string{
			`f:6:1: proxy.loops: 1025 is out of range: want 0 to 1024`,
			`f:7:1: proxy.max_connections: -1 is out of range: want 0 to 2147483647`,
			`f:8:1: proxy.max_connections_per_app: 99999999999999999999 is out of range: want 0 to 2147483647`,
			`f:9:1: proxy.max_connections_per_source: want a whole number, have a number with a fraction`,
		}},
		{name: "networks", file: proxy(`proxy_protocol_from = ["10.0.0.1/8", "::ffff:1.2.3.4", "lb", 7]`), want: []string{
			`f:6:24: proxy.proxy_protocol_from: "10.0.0.1/8" has bits set behind its prefix: want "10.0.0.0/8", or "10.0.0.1" for the one address`,
			`f:6:38: proxy.proxy_protocol_from: "::ffff:1.2.3.4" is not a network: want one such as "10.8.0.0/24"`,
			`f:6:56: proxy.proxy_protocol_from: "lb" is not a network: want one such as "10.8.0.0/24"`,
			`f:6:62: proxy.proxy_protocol_from: want a string, have a whole number`,
		}},
		{name: "tls version", file: proxy("tls_min_version = \"1.1\""), want: []string{
			`f:6:1: proxy.tls_min_version: "1.1" is not known: want one of "1.2", "1.3"`,
		}},
		{name: "ciphers", file: proxy(`tls12_ciphers = ["AES128-SHA", "TLS_AES_128_GCM_SHA256"]`), want: []string{
			`f:6:18: proxy.tls12_ciphers: "AES128-SHA" is not a TLS 1.2 cipher suite of crypto/tls: want its name in IANA's registry, such as "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA"`,
			`f:6:32: proxy.tls12_ciphers: TLS_AES_128_GCM_SHA256 belongs to TLS 1.3, whose cipher suites are always on`,
		}},
		{name: "no ciphers", file: proxy("tls12_ciphers = []"), want: []string{
			`f:6:1: proxy.tls12_ciphers: is empty: for TLS 1.3 only, set tls_min_version = "1.3"`,
		}},
		{name: "ciphers as a number", file: proxy("tls12_ciphers = 1"), want: []string{
			`f:6:1: proxy.tls12_ciphers: want a list of strings, ["…", "…"], have a whole number`,
		}},
		{name: "tls version as a number", file: proxy("tls_min_version = 1.3"), want: []string{
			`f:6:1: proxy.tls_min_version: want a string, have a number with a fraction`,
		}},
	})
}

func TestTimeProblems(t *testing.T) {
	checkProblems(t, []problemCase{
		{name: "units and ranges", file: "[proxy.timeouts]\nhello = 5\nhandshake = \"5\"\nconnect = \"0s\"\nidle = \"-1s\"\ndrain = \"9000h\"\n" +
			"[health]\nmax_handshake_age = \"0s\"", want: []string{
			`f:6:1: proxy.timeouts.hello: want a string, have a whole number`,
			`f:7:1: proxy.timeouts.handshake: "5" is not a duration: want a number with its unit, such as "250ms", "5s" or "10m"`,
			`f:8:1: proxy.timeouts.connect: "0s" is out of range: want "1ms" to "8760h"`,
			`f:9:1: proxy.timeouts.idle: "-1s" is out of range: want "1ms" to "8760h", or "0s" for never`,
			`f:10:1: proxy.timeouts.drain: "9000h" is out of range: want "1ms" to "8760h"`,
			`f:12:1: health.max_handshake_age: "0s" is out of range: want "1ms" to "8760h"`,
		}},
		{name: "hedge is not less than connect", file: "[proxy.timeouts]\nhedge = \"2s\"\nconnect = \"2s\"", want: []string{
			`f:6:1: proxy.timeouts.hedge: hedge (2s) must be less than connect (2s): the second attempt would never start`,
		}},
		{name: "connect is less than the default of hedge", file: "[proxy.timeouts]\nconnect = \"200ms\"", want: []string{
			`f:6:1: proxy.timeouts.connect: hedge (250ms) must be less than connect (200ms): the second attempt would never start`,
		}},
	})
}

func TestProblemsOfTheSmallSections(t *testing.T) {
	checkProblems(t, []problemCase{
		{name: "store and log", file: "[store]\npath = \"a\\u0000b\"\n[log]\nlevel = \"trace\"\nformat = \"xml\"\naccess = \"yes\"", want: []string{
			`f:6:1: store.path: want the name of a file or directory`,
			`f:8:1: log.level: "trace" is not known: want one of "debug", "info", "warn", "error"`,
			`f:9:1: log.format: "xml" is not known: want one of "text", "json"`,
			`f:10:1: log.access: want true or false, have a string`,
		}},
		{name: "admin where clients are", file: "[proxy]\nlisten = [\"0.0.0.0:9901\"]", want: []string{
			`f:1:1: admin.listen: "127.0.0.1:9901" is taken by proxy.listen "0.0.0.0:9901": want another port`,
		}},
		{name: "admin with a host that is not a name", file: "[admin]\nhosts = [\"10.0.0.5\"]", want: []string{
			`f:6:10: admin.hosts: "10.0.0.5" is not a DNS name: want one that does not end in a number, up to 253 bytes`,
		}},
		{name: "admin on a name", file: "[admin]\nlisten = \"localhost:9901\"", want: []string{
			`f:6:1: admin.listen: "localhost:9901" is not an address to listen on: want IP:port, such as "0.0.0.0:443" or "[::]:443"`,
		}},
		{name: "admin where clients of IPv4 are, by [::] alone", file: "[proxy]\nlisten = [\"[::]:9901\"]", want: []string{
			`f:1:1: admin.listen: "127.0.0.1:9901" is taken by proxy.listen "[::]:9901": want another port`,
		}},
		{name: "admin on another address", file: "[proxy]\nlisten = [\"192.0.2.1:9901\", \"[::]:9901\"]"},
		{name: "no admin", file: "[admin]\nlisten = \"\""},
	})
}

func TestListsAreBounded(t *testing.T) {
	networks := func(n int) string {
		return "[proxy]\nproxy_protocol_from = [" + strings.Repeat(`"10.0.0.0/8",`, n) + "]"
	}
	checkProblems(t, []problemCase{
		{name: "longest", file: networks(maxList)},
		{name: "too long", file: networks(maxList + 1), want: []string{
			`f:6:1: proxy.proxy_protocol_from: has 4097 members: want at most 4096`,
		}},
	})
}

func TestProblemsAreBounded(t *testing.T) {
	noise := smallest
	for n := range 2 * maxProblems {
		noise += fmt.Sprintf("noise%d = 1\n", n)
	}
	_, err := Parse("f", []byte(noise))
	if errs, ok := errors.AsType[Errors](err); !ok || len(errs) != maxProblems {
		t.Errorf("%d problems, want %d", len(errs), maxProblems)
	}
}

func TestAllProblemsAreReportedAtOnceInOrder(t *testing.T) {
	checkProblems(t, []problemCase{{name: "every kind", whole: true, file: `
loops = 3
[[domain]]
name = "gw.example.com"
[log]
lvel = "info"
access = 1
[proxy]
loops = -1
listen = [":1", "x"]
[proxy.timeouts]
hedge = "10s"
`, want: []string{
		`f:2:1: loops: unknown key; did you mean "proxy.loops"?`,
		`f:3:3: domain.cert: is missing: want the PEM file of the certificate chain, or acme = true, or ratls = true`,
		`f:3:3: domain.key: is missing: want the PEM file of the certificate's private key`,
		`f:6:1: log.lvel: unknown key; did you mean "level"?`,
		`f:7:1: log.access: want true or false, have a whole number`,
		`f:9:1: proxy.loops: -1 is out of range: want 0 to 1024`,
		`f:10:11: proxy.listen: ":1" has no address: want "0.0.0.0:1" or "[::]:1" for all addresses`,
		`f:10:17: proxy.listen: "x" is not an address to listen on: want IP:port, such as "0.0.0.0:443" or "[::]:443"`,
		`f:12:1: proxy.timeouts.hedge: hedge (10s) must be less than connect (5s): the second attempt would never start`,
	}}})
}

// A file that is read again while the gateway runs is logged.
func TestProblemsAreLoggedOnOneLine(t *testing.T) {
	_, err := Parse("f", []byte("a = 1\nb = 1\n"))
	var out strings.Builder
	slog.New(slog.NewJSONHandler(&out, nil)).Error("cannot use the new configuration", "error", err)
	if text := out.String(); strings.Contains(text, `\n`) || !strings.Contains(text, "; f:2:1: b: unknown key") {
		t.Error(text)
	}
}

func TestFIFOInPlaceOfTheFileDoesNotHang(t *testing.T) {
	file := filepath.Join(t.TempDir(), "gateway.toml")
	if err := syscall.Mkfifo(file, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(file); err == nil || !strings.Contains(err.Error(), "want a regular file") {
		t.Error(err)
	}
}
