package config

import (
	"log/slog"
	"net/netip"
	"net/url"
	"strconv"
	"time"

	"sallyport/internal/vm"
)

// Config is a checked configuration. It is not changed after Load or Parse, so
// it may be read concurrently. The tag of a field is its key in the file.
//
// Durations are strings with a unit, such as "5s" or "250ms", from 1ms to 8760h.
// Lists have up to 4,096 members. A relative path starts at the directory of the configuration file.
type Config struct {
	// Domains are the [[domain]] tables, at least one, at most 1,024.
	Domains   []Domain  `toml:"domain"`
	ACME      ACME      `toml:"acme"`
	Proxy     Proxy     `toml:"proxy"`
	WireGuard WireGuard `toml:"wireguard"`
	Health    Health    `toml:"health"`
	// Instances are the [[instance]] tables: static CVMs, beside those that
	// register themselves. At most 65,536.
	Instances    []Instance   `toml:"instance"`
	RPC          RPC          `toml:"rpc"`
	Registry     Registry     `toml:"registry"`
	CustomDomain CustomDomain `toml:"custom_domain"`
	Attestation  Attestation  `toml:"attestation"`
	Store        Store        `toml:"store"`
	Log          Log          `toml:"log"`
	Admin        Admin        `toml:"admin"`
}

// Domain is a base domain whose subdomains, one label deep, are served.
type Domain struct {
	// Name is the base domain, lower case, without "*." and trailing dot:
	// "gw.example.com" serves *.gw.example.com. Required, unique.
	Name string `toml:"name"`
	// Cert is the PEM file of the certificate for *.Name, followed by its
	// intermediates. Required with Key, unless ACME or RATLS.
	Cert string `toml:"cert"`
	// Key is the PEM file of the certificate's private key.
	Key string `toml:"key"`
	// RATLS makes the gateway issue the certificate itself, with evidence of its own
	// hardware in it, for clients that verify that instead of an authority. Excludes Cert
	// and Key; needs hardware that can quote. Default false.
	RATLS bool `toml:"ratls"`
	// ACME makes the gateway get the certificate from an authority and renew it: see the
	// section of that name. Excludes Cert, Key and RATLS. Default false.
	ACME bool `toml:"acme"`
	// IncludeApex gets one for Name itself as well. The gateway's own site is then there.
	// Default false. With ACME only.
	IncludeApex bool `toml:"include_apex"`
	// Wildcard is false for a certificate of Name alone, which needs no proof by DNS;
	// of the names below only those passed through are served then. Implies IncludeApex.
	// Default true. With ACME only.
	Wildcard bool `toml:"wildcard"`
}

// Proxy configures the listeners for clients.
type Proxy struct {
	// Listen are the addresses for clients, IP:port. 0.0.0.0 is IPv4, [::] is IPv6
	// and, unless an IPv4 address with its port is listed, IPv4; on a kernel without
	// IPv6 it is IPv4 alone. Port 0 takes any free port. Default ["0.0.0.0:443", "[::]:443"].
	Listen []netip.AddrPort `toml:"listen"`
	// Loops is the number of event loops, up to 1,024. Default 0: one for each CPU
	// of the machine, or for each whole one in the CPU quota of the control group.
	Loops int `toml:"loops"`
	// MaxConnections limits the open client connections. Default 0: what the
	// descriptor limit allows, found at start; more than that are never in force.
	MaxConnections int `toml:"max_connections"`
	// MaxConnectionsPerApp limits the open connections to one app. Default
	// 2000; 0 means no limit.
	MaxConnectionsPerApp int `toml:"max_connections_per_app"`
	// MaxConnectionsPerAppAndSource limits those to one app of one client IP (IPv6: of
	// one /64). Default a quarter of MaxConnectionsPerApp; 0 means no limit.
	MaxConnectionsPerAppAndSource int `toml:"max_connections_per_app_and_source"`
	// MaxConnectionsPerSource limits the open connections of one client IP (IPv6: of
	// one /64), from when they are accepted. Default 0: no limit.
	MaxConnectionsPerSource int `toml:"max_connections_per_source"`
	// ProxyProtocolFrom are the networks whose PROXY v1/v2 header is required
	// and believed; anyone in them can claim any client address. Default none.
	ProxyProtocolFrom []netip.Prefix `toml:"proxy_protocol_from"`
	// TLSMinVersion is tls.VersionTLS12 ("1.2", the default) or
	// tls.VersionTLS13 ("1.3"), for connections that the gateway terminates.
	TLSMinVersion uint16 `toml:"tls_min_version"`
	// TLS12Ciphers are the cipher suites of TLS 1.2 there, by their names in the registry
	// of IANA, in no particular order. Default those of Mozilla's "intermediate"
	// configuration: ECDHE with AES-GCM or ChaCha20-Poly1305.
	TLS12Ciphers []uint16 `toml:"tls12_ciphers"`
	// UpstreamRATLS are the apps whose terminated connections are encrypted again, to
	// an instance that shows an RA-TLS certificate of its own app and instance id; ["*"]
	// is all apps. Default none. What is passed through is the instance's own TLS.
	UpstreamRATLS AppSet `toml:"upstream_ratls"`
	// ProxyTLVs are the apps whose PROXY headers, on ports that ask for one, carry everything
	// that is known about the client; ["*"] is all apps. Default none: a header has up to
	// 107 bytes, the most that nginx before 1.23 takes.
	ProxyTLVs AppSet   `toml:"proxy_tlvs"`
	Timeouts  Timeouts `toml:"timeouts"`
}

// Timeouts are the deadlines of a client's connection.
type Timeouts struct {
	// Hello is from the first byte to the end of the ClientHello, PROXY header
	// and SSLRequest included. Default 5s.
	Hello time.Duration `toml:"hello"`
	// Handshake is for the TLS handshake of a terminated connection. Default 10s.
	Handshake time.Duration `toml:"handshake"`
	// Connect is for reaching an instance, all tries together. Default 5s.
	Connect time.Duration `toml:"connect"`
	// Hedge is how long the gateway waits for the first candidate before it tries a
	// second beside it. Less than Connect. Default 250ms.
	Hedge time.Duration `toml:"hedge"`
	// Idle ends a connection without a byte in either direction, and without one
	// acknowledged of what was sent. Default 10m;
	// "0s" means never.
	Idle time.Duration `toml:"idle"`
	// Drain is how long open connections may go on after SIGTERM. Default 30s.
	Drain time.Duration `toml:"drain"`
}

// WireGuard configures the tunnel to CVMs.
type WireGuard struct {
	// Mode is how the tunnel is made. Default "auto".
	Mode WireGuardMode `toml:"mode"`
	// Interface is the device's name, up to 15 of A-Z, a-z, 0-9, '_', '-', '.'.
	// Default "wg-gw".
	Interface string `toml:"interface"`
	// PrivateKeyFile is made at first start, with mode 0600. Default
	// wireguard.key in [store] path.
	PrivateKeyFile string `toml:"private_key_file"`
	// ListenPort is the UDP port. Default 51820; 0 takes any free port.
	ListenPort uint16 `toml:"listen_port"`
	// Endpoint is where guests reach ListenPort from outside; the gateway sends it
	// to them when they register. Required if RPC.Listen is set; no default.
	Endpoint Endpoint `toml:"endpoint"`
	// Address is the gateway's own address in the tunnel; its prefix, /8 to
	// /30, is the tunnel network. IPv4, as guests are. Default 10.8.0.1/16.
	Address netip.Prefix `toml:"address"`
	// Pool is what this node hands out addresses from; several gateways in one
	// network need disjoint pools. Default the whole network of Address.
	Pool netip.Prefix `toml:"pool"`
	// Reserved are networks inside the tunnel network that are never handed out.
	// Default none.
	Reserved []netip.Prefix `toml:"reserved"`
	// MTU is the tunnel's, 1280 to 9000. Default 1420.
	MTU int `toml:"mtu"`
}

// WireGuardMode names what carries the packets of the tunnel.
type WireGuardMode string

// The modes of [wireguard].
const (
	// ModeAuto is kernel if the module is there and may be configured, else
	// userspace if a TUN device can be made, else netstack.
	ModeAuto WireGuardMode = "auto"
	// ModeKernel is the kernel's WireGuard.
	ModeKernel WireGuardMode = "kernel"
	// ModeUserspace is WireGuard in this process on a TUN device.
	ModeUserspace WireGuardMode = "userspace"
	// ModeNetstack is WireGuard and TCP/IP in this process: no privileges.
	ModeNetstack WireGuardMode = "netstack"
	// ModeNone dials instances directly, without a tunnel: development only.
	ModeNone WireGuardMode = "none"
)

// Endpoint is a UDP endpoint that is sent to guests. The zero Endpoint means none.
type Endpoint struct {
	Host string // an IPv4 address, or a DNS name in lower case
	Port uint16
}

// IsZero reports whether e is unset.
func (e Endpoint) IsZero() bool { return e == Endpoint{} }

// String is Host:Port, or "" for the zero Endpoint.
func (e Endpoint) String() string {
	if e.IsZero() {
		return ""
	}
	return e.Host + ":" + strconv.Itoa(int(e.Port))
}

// Health decides which instances may receive connections.
type Health struct {
	// MaxHandshakeAge is the age of the last WireGuard handshake from which an
	// instance is down. Default 5m. WireGuard renews a session every two
	// minutes and drops it after three: less than 180s fails healthy instances.
	MaxHandshakeAge time.Duration `toml:"max_handshake_age"`
}

// Instance is a CVM that does not register itself.
type Instance struct {
	// AppID is the app that it runs. Required.
	AppID vm.AppID `toml:"app_id"`
	// InstanceID is its own id, unique, and no app's id. Default the first 40
	// hex digits of SHA-256("<app_id>/<address>").
	InstanceID vm.InstanceID `toml:"instance_id"`
	// PublicKey is its WireGuard key, unique. Required unless the mode is
	// "none"; zero then.
	PublicKey vm.WGKey `toml:"public_key"`
	// Address is its address in the tunnel network, unique. With mode "none"
	// any unicast address. Required.
	Address netip.Addr `toml:"address"`
	// Ports are the ports that clients may reach; with Proxy ("80,proxy") a PROXY header is
	// sent first. At least one. Default nil: all.
	Ports []vm.PortRule `toml:"ports"`
}

// RPC configures the API through which guests register. They receive the first
// of Domains as their domain, and CustomDomain.Prefix as the prefix of TXT names.
type RPC struct {
	// Listen is its address, IP:port. Default "" (or "off"): no guest can register,
	// and the zero AddrPort here. Port 0 takes any free port.
	Listen netip.AddrPort `toml:"listen"`
	// Cert is the PEM file of the gateway's own certificate with the app-id
	// extension that guests look for, followed by its intermediates; Key is the one
	// of its private key, and ClientCA the one of the root that guests' certificates
	// must chain to: the KMS's. All three are required with Listen, unless
	// DstackAgent is set. Default none.
	Cert     string `toml:"cert"`
	Key      string `toml:"key"`
	ClientCA string `toml:"client_ca"`
	// DstackAgent is the Unix socket of the dstack guest agent, of which
	// certificate, key and root are asked instead: for a gateway that is itself a
	// CVM. Default none. Excludes Cert, Key and ClientCA; needs PublicURL.
	DstackAgent string `toml:"dstack_agent"`
	// PublicURL is where guests reach Listen, https://host[:port]; the certificate
	// asked of DstackAgent is for its host. Default nil: none is sent.
	PublicURL *url.URL `toml:"public_url"`
	// RequireQuote refuses guests whose certificate carries no hardware evidence.
	// Default false: the KMS has checked it before it signed.
	RequireQuote bool `toml:"require_quote"`
	// ProofGrace is how long an instance is still served after a certificate of the chain
	// that it registered with has ended, or its root has gone from ClientCA. Guests register
	// every 3 minutes. Default 15m.
	ProofGrace time.Duration `toml:"proof_grace"`
	// ExternalPort is the public port of apps' names. It is sent to guests and
	// changes nothing here. Default the port of the first of Proxy.Listen; 0 if
	// that is any free port.
	ExternalPort uint16 `toml:"external_port"`
	// InternalPort is the port on which the guest agents answer in the tunnel.
	// It is sent to guests. Default 8090.
	InternalPort uint16 `toml:"internal_port"`
	Auth         Auth   `toml:"auth"`
}

// Auth is the webhook that is asked about each registration.
type Auth struct {
	// URL gets the app info of the guest as JSON by POST, and answers 2xx to admit
	// it. It is https, or http to this host. Default nil: no webhook.
	URL *url.URL `toml:"url"`
	// Timeout is for the whole request; a registration is refused when it has passed.
	// Default 5s.
	Timeout time.Duration `toml:"timeout"`
	// Interval is how long after an answer it is asked again about an instance that has
	// not registered meanwhile; 4xx (but 408, 425, 429) refuses it. Default 5m.
	Interval time.Duration `toml:"interval"`
}

// Registry configures how long registrations last and how many an app may have.
type Registry struct {
	// AddressRest is how long the tunnel address of a removed instance stays unused,
	// so that packets for it reach no other instance. Default 10m.
	AddressRest time.Duration `toml:"address_rest"`
	// RecycleAfter is how long an instance without a handshake and a registration is
	// kept; at least Health.MaxHandshakeAge. Default 10h; "0s" means forever.
	RecycleAfter time.Duration `toml:"recycle_after"`
	// PrivateComposeOpens ("open") treats an app with a private compose file as one that
	// restricts no port, so that its guests' reports decide. Default false ("closed"): none
	// of its ports is open.
	PrivateComposeOpens bool `toml:"private_compose"`
	// MaxInstancesPerApp is how many instances of one app may register. Default 1,024; 0
	// is no limit.
	MaxInstancesPerApp int `toml:"max_instances_per_app"`
	// MaxPoolSharePerApp is the percentage that one app may have of the tunnel addresses that
	// are its own or free. Default 50; 100 means no limit.
	MaxPoolSharePerApp int `toml:"max_pool_share_per_app"`
}

// CustomDomain configures names outside of Domains, whose owners publish in DNS which
// app serves them.
type CustomDomain struct {
	// Enabled looks them up. Default false, unlike dstack's gateway: with it every
	// stranger can make the gateway send DNS queries, and the answers decide which
	// app is reached.
	Enabled bool `toml:"enabled"`
	// Resolvers are the recursive resolvers to ask, in this order, IP:port, at most
	// 8. Default the nameservers of /etc/resolv.conf.
	Resolvers []netip.AddrPort `toml:"resolvers"`
	// Prefix is the label in front of a name where its TXT record is. It is sent to
	// guests: up to 54 of a-z, 0-9, '_' and '-'. Default "_dstack-app-address".
	Prefix string `toml:"prefix"`
	// Compat looks at the label of old guests, "_tapp-address", too. Default true.
	Compat bool `toml:"compat"`
	// MissesPerSource limits the lookups of unknown names by one client IP (IPv6: by
	// one /64) in a minute. Default 30; 0 means no limit.
	MissesPerSource int `toml:"misses_per_source"`
	// MissesPerSecond limits them for all clients together, 1 to 10000. Default 100.
	MissesPerSecond int `toml:"misses_per_second"`
	// CacheSize is about how many names with a record are remembered, for as long as
	// its TTL says; 8 to 1048576. Default 4096.
	CacheSize int `toml:"cache_size"`
	// NegativeCacheSize is about how many names without one are remembered, for some
	// seconds; 8 to 1048576. Default 4096.
	NegativeCacheSize int `toml:"negative_cache_size"`
}

// Store configures where the gateway keeps data that must survive a restart.
type Store struct {
	// Path is a directory. Default /var/lib/gateway.
	Path string `toml:"path"`
}

// Log configures the log on stderr.
type Log struct {
	// Level is debug, info, warn or error. Default info.
	Level slog.Level `toml:"level"`
	// Format is text or json. Default text.
	Format LogFormat `toml:"format"`
	// Access writes one line per connection at its end. Default false.
	Access bool `toml:"access"`
}

// LogFormat is the format of a log line.
type LogFormat string

// The formats of [log].
const (
	FormatText LogFormat = "text"
	FormatJSON LogFormat = "json"
)

// Admin is the operators' listener: health, status and metrics.
type Admin struct {
	// Listen is its address, IP:port; keep it on loopback or a management
	// network. Default 127.0.0.1:9901; "" or "off" means no listener, and the zero
	// AddrPort here. Port 0 takes any free port.
	Listen netip.AddrPort `toml:"listen"`
	// Hosts are the names that a request may have, besides localhost and the address;
	// requests with other names are refused. Default none.
	Hosts []string `toml:"hosts"`
	// Pprof shows the Go runtime's profiles there. Default false.
	Pprof bool `toml:"pprof"`
}
