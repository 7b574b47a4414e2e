package config

import (
	"crypto/tls"
	"log/slog"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sallyport/internal/ciphers"
	"sallyport/internal/vm"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// smallest is the least that a file can say.
const smallest = `[[domain]]
name = "gw.example.com"
cert = "/c"
key = "/k"
`

// addresses compares values of net/netip, which have no exported fields.
var addresses = cmpopts.EquateComparable(netip.Addr{}, netip.AddrPort{}, netip.Prefix{})

func parse(t *testing.T, text string) *Config {
	t.Helper()
	c, err := Parse("/etc/gateway/gateway.toml", []byte(text))
	if err != nil {
		t.Fatalf("Parse:\n%v", err)
	}
	return c
}

func TestSmallestFileHasAllDefaults(t *testing.T) {
	want := &Config{
		Domains: []Domain{{Name: "gw.example.com", Cert: "/c", Key: "/k", Wildcard: true}},
		ACME: ACME{
			Authority: Authority{Directory: &url.URL{Scheme: "https", Host: "acme-v02.api.letsencrypt.org", Path: "/directory"}},
			CAA:       true, PropagationTimeout: 5 * time.Minute,
			RFC2136: RFC2136{Algorithm: "hmac-sha256"}, Exec: Exec{Timeout: time.Minute},
			Embedded: Embedded{
				Listen: []netip.AddrPort{netip.MustParseAddrPort("0.0.0.0:53"), netip.MustParseAddrPort("[::]:53")}, Zone: ZoneDomain,
			},
		},
		Proxy: Proxy{
			Listen:               []netip.AddrPort{netip.MustParseAddrPort("0.0.0.0:443"), netip.MustParseAddrPort("[::]:443")},
			MaxConnectionsPerApp: 2000, MaxConnectionsPerAppAndSource: 500,
			TLSMinVersion: tls.VersionTLS12,
			TLS12Ciphers:  ciphers.Intermediate(),
			Timeouts: Timeouts{
				Hello: 5 * time.Second, Handshake: 10 * time.Second, Connect: 5 * time.Second,
				Hedge: 250 * time.Millisecond, Idle: 10 * time.Minute, Drain: 30 * time.Second,
			},
		},
		WireGuard: WireGuard{
			Mode: ModeAuto, Interface: "wg-gw", PrivateKeyFile: "/var/lib/gateway/wireguard.key", ListenPort: 51820,
			Address: netip.MustParsePrefix("10.8.0.1/16"), Pool: netip.MustParsePrefix("10.8.0.0/16"), MTU: 1420,
		},
		Health:    Health{MaxHandshakeAge: 5 * time.Minute},
		Instances: nil,
		Attestation: Attestation{
			TCBStatuses:      []string{"UpToDate", "SWHardeningNeeded", "ConfigurationNeeded", "ConfigurationAndSWHardeningNeeded"},
			ReattestInterval: 24 * time.Hour,
			UndecidedFor:     24 * time.Hour,
			PCCS:             []*url.URL{{Scheme: "https", Host: "api.trustedservices.intel.com"}, {Scheme: "https", Host: "pccs.phala.network"}},
		},
		RPC:      RPC{ExternalPort: 443, InternalPort: 8090, ProofGrace: 15 * time.Minute, Auth: Auth{Timeout: 5 * time.Second, Interval: 5 * time.Minute}},
		Registry: Registry{AddressRest: 10 * time.Minute, RecycleAfter: 10 * time.Hour, MaxInstancesPerApp: 1024, MaxPoolSharePerApp: 50},
		CustomDomain: CustomDomain{
			Prefix: "_dstack-app-address", Compat: true, MissesPerSource: 30, MissesPerSecond: 100,
			CacheSize: 4096, NegativeCacheSize: 4096,
		},
		Store: Store{Path: "/var/lib/gateway"},
		Log:   Log{Level: slog.LevelInfo, Format: FormatText},
		Admin: Admin{Listen: netip.MustParseAddrPort("127.0.0.1:9901")},
	}
	if d := cmp.Diff(want, parse(t, smallest), addresses, cmpopts.EquateEmpty()); d != "" {
		t.Error(d)
	}
}

// everyKey is a file that gives each key another value than its default.
var everyKey = `
[[domain]]
name = "GW.Example.com"
cert = "tls/chain.pem"
key = "/k"
acme = false
[proxy]
listen = ["127.0.0.1:0", "[::1]:8443"]
loops = 2
max_connections = 1_000
max_connections_per_app = 0
max_connections_per_app_and_source = 7
max_connections_per_source = 0x10
proxy_protocol_from = ["192.0.2.0/24", "2001:db8::1"]
tls_min_version = "1.3"
tls12_ciphers = ["TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA"]
upstream_ratls = ["ABCD", "ef01"]
proxy_tlvs = ["*"]
timeouts = { hello = "1s", handshake = "2s", connect = "3s", hedge = "1ms", idle = "0s", drain = "4s" }
[wireguard]
mode = "userspace"
interface = "wg1"
private_key_file = "wg.key"
listen_port = 0
endpoint = "Gw.example.com:51820"
address = "10.9.0.1/24"
pool = "10.9.0.128/25"
reserved = ["10.9.0.7", "10.9.0.16/28"]
mtu = 1280
[health]
max_handshake_age = "1h30m"
[[instance]]
app_id = "ABCD"
public_key = "` + key(1) + `"
address = "10.9.0.2"
[[instance]]
app_id = "abcd"
instance_id = "Mine"
public_key = "` + key(2) + `"
address = "10.9.0.3"
ports = ["80,proxy"]
[rpc]
listen = "0.0.0.0:8000"
cert = "rpc.pem"
key = "/rpc.key"
client_ca = "kms.pem"
public_url = "https://RPC.example.com:8000/"
require_quote = true
proof_grace = "2m"
external_port = 65535
internal_port = 1
auth = { url = "http://localhost:1/app-auth?x=1", timeout = "1s", interval = "1m" }
[registry]
address_rest = "1ms"
recycle_after = "0s"
private_compose = "open"
max_instances_per_app = 7
max_pool_share_per_app = 100
[custom_domain]
enabled = true
resolvers = ["192.0.2.53:53", "[2001:db8::53]:5353"]
prefix = "_App-Address"
compat = false
misses_per_source = 0
misses_per_second = 1
cache_size = 8
negative_cache_size = 1_048_576
[attestation]
tcb_statuses = ["UpToDate", "OutOfDate"]
refused_advisories = ["INTEL-SA-00615"]
allow_file = "allow.toml"
max_age = "720h"
reattest_interval = "0s"
undecided_for = "90m"
pccs = ["http://127.0.0.1:8081/", "https://pccs.example.com/v4/"]
insecure_root_ca = "/root.pem"
[store]
path = "state"
[log]
level = "debug"
format = "json"
access = true
[admin]
listen = "off"
`

func TestEveryKeyIsRead(t *testing.T) {
	c := parse(t, everyKey)
	prefix := netip.MustParsePrefix
	want := &Config{
		Domains: []Domain{{Name: "gw.example.com", Cert: "/etc/gateway/tls/chain.pem", Key: "/k", Wildcard: true}},
		ACME:    parse(t, smallest).ACME, // its keys have a test of their own
		Proxy: Proxy{
			Listen: []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:0"), netip.MustParseAddrPort("[::1]:8443")},
			Loops:  2, MaxConnections: 1000, MaxConnectionsPerAppAndSource: 7, MaxConnectionsPerSource: 16,
			ProxyProtocolFrom: []netip.Prefix{prefix("192.0.2.0/24"), prefix("2001:db8::1/128")},
			TLSMinVersion:     tls.VersionTLS13,
			TLS12Ciphers:      []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA},
			UpstreamRATLS:     AppSet{IDs: []vm.AppID{"abcd", "ef01"}},
			ProxyTLVs:         AppSet{All: true},
			Timeouts: Timeouts{
				Hello: time.Second, Handshake: 2 * time.Second, Connect: 3 * time.Second,
				Hedge: time.Millisecond, Drain: 4 * time.Second,
			},
		},
		WireGuard: WireGuard{
			Mode: ModeUserspace, Interface: "wg1", PrivateKeyFile: "/etc/gateway/wg.key",
			Endpoint: Endpoint{"gw.example.com", 51820},
			Address:  prefix("10.9.0.1/24"), Pool: prefix("10.9.0.128/25"),
			Reserved: []netip.Prefix{prefix("10.9.0.7/32"), prefix("10.9.0.16/28")}, MTU: 1280,
		},
		Health: Health{MaxHandshakeAge: 90 * time.Minute},
		Instances: []Instance{
			{
				AppID: "abcd", InstanceID: "73b5a3ca836aa55cf7e362bc9cee807c0423fb41",
				PublicKey: vm.WGKey{1}, Address: netip.MustParseAddr("10.9.0.2"),
			},
			{AppID: "abcd", InstanceID: "mine", PublicKey: vm.WGKey{2}, Address: netip.MustParseAddr("10.9.0.3"), Ports: []vm.PortRule{{Port: 80, Proxy: true}}},
		},
		RPC: RPC{
			Listen: netip.MustParseAddrPort("0.0.0.0:8000"),
			Cert:   "/etc/gateway/rpc.pem", Key: "/rpc.key", ClientCA: "/etc/gateway/kms.pem",
			PublicURL:    &url.URL{Scheme: "https", Host: "rpc.example.com:8000"},
			RequireQuote: true, ProofGrace: 2 * time.Minute, ExternalPort: 65535, InternalPort: 1,
			Auth: Auth{URL: &url.URL{Scheme: "http", Host: "localhost:1", Path: "/app-auth", RawQuery: "x=1"}, Timeout: time.Second, Interval: time.Minute},
		},
		Registry: Registry{PrivateComposeOpens: true, AddressRest: time.Millisecond, MaxInstancesPerApp: 7, MaxPoolSharePerApp: 100},
		CustomDomain: CustomDomain{
			Enabled:   true,
			Resolvers: []netip.AddrPort{netip.MustParseAddrPort("192.0.2.53:53"), netip.MustParseAddrPort("[2001:db8::53]:5353")},
			Prefix:    "_app-address", MissesPerSecond: 1, CacheSize: 8, NegativeCacheSize: 1 << 20,
		},
		Attestation: Attestation{
			TCBStatuses: []string{"UpToDate", "OutOfDate"}, RefusedAdvisories: []string{"INTEL-SA-00615"},
			AllowFile: "/etc/gateway/allow.toml", MaxAge: 720 * time.Hour,
			UndecidedFor:   90 * time.Minute,
			PCCS:           []*url.URL{{Scheme: "http", Host: "127.0.0.1:8081"}, {Scheme: "https", Host: "pccs.example.com", Path: "/v4"}},
			InsecureRootCA: "/root.pem",
		},
		Store: Store{Path: "/etc/gateway/state"},
		Log:   Log{Level: slog.LevelDebug, Format: FormatJSON, Access: true},
	}
	if d := cmp.Diff(want, c, addresses); d != "" {
		t.Error(d)
	}
}

// key is the text of the WireGuard key whose first byte is b.
func key(b byte) string { return vm.WGKey{b}.String() }

func TestRelativePathsStartAtTheFilesDirectory(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	file := filepath.Join("sub", "gateway.toml")
	if err := os.Mkdir("sub", 0o700); err != nil {
		t.Fatal(err)
	}
	text := strings.ReplaceAll(smallest, `"/c"`, `"c.pem"`) + "[store]\npath = \"state\"\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Load(file)
	if err != nil {
		t.Fatal(err)
	}
	got := []string{c.Domains[0].Cert, c.Domains[0].Key, c.Store.Path, c.WireGuard.PrivateKeyFile}
	want := []string{"sub/c.pem", "/k", "sub/state", "sub/state/wireguard.key"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestLoadTellsWhyAFileCannotBeRead(t *testing.T) {
	_, err := Load(filepath.Join(t.TempDir(), "none.toml"))
	if err == nil || !strings.Contains(err.Error(), "none.toml: no such file") {
		t.Error(err)
	}
}

func TestFileAboveOneMebibyteIsRefused(t *testing.T) {
	comment := "#" + strings.Repeat("x", MaxSize-len(smallest)-2) + "\n"
	if _, err := Parse("f", []byte(smallest+comment)); err != nil {
		t.Errorf("at the limit: %v", err)
	}
	_, err := Parse("f", []byte(smallest+comment+"\n"))
	if err == nil || err.Error() != "f:1:1: the file is larger than 1048576 bytes" {
		t.Errorf("above the limit: %v", err)
	}
}

func TestOneSourceHasAQuarterOfAnApp(t *testing.T) {
	for text, want := range map[string]int{
		"":                                       500,
		"max_connections_per_app = 4":            1,
		"max_connections_per_app = 5":            2,
		"max_connections_per_app = 1":            1,
		"max_connections_per_app = 0":            0,
		"max_connections_per_app_and_source = 0": 0,
		"max_connections_per_app = 10\nmax_connections_per_app_and_source = 10": 10,
	} {
		if got := parse(t, smallest+"[proxy]\n"+text).Proxy.MaxConnectionsPerAppAndSource; got != want {
			t.Errorf("%q: %d, want %d", text, got, want)
		}
	}
}
