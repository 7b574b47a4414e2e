package certs

import (
	"crypto/tls"
	"slices"
	"strings"
	"time"
)

// ALPN is the application protocol that the gateway selects when it terminates
// a connection.
type ALPN uint8

// What can be selected.
const (
	ALPNNone       ALPN = iota // the client offered none, or none that is known
	ALPNHTTP1                  // "http/1.1"
	ALPNPostgreSQL             // "postgresql"
	ALPNH2                     // "h2"

	alpnCount
)

// alpnNames is indexed by ALPN.
var alpnNames = [alpnCount]string{ALPNHTTP1: "http/1.1", ALPNPostgreSQL: "postgresql", ALPNH2: "h2"}

// String is the protocol's name on the wire, "" for none.
func (a ALPN) String() string {
	if a < alpnCount {
		return alpnNames[a]
	}
	return ""
}

// curves are the key exchanges. crypto/tls ignores the order and prefers the
// post-quantum hybrid itself. Its defaults P-521 and the hybrids with P-256 and
// P-384 are left out: they cost the gateway more per handshake, and a client
// that has one of them has one of these too.
var curves = []tls.CurveID{tls.X25519MLKEM768, tls.X25519, tls.CurveP256, tls.CurveP384}

// TLSConfig is what a connection of a name below the domain is terminated with.
// It is nil for an unknown domain or protocol. The pointer stays the same for
// the life of the domain: a new certificate is served by the same config. It
// does not allocate. domain must be lower case; the caller must not change the
// config. While the domain has no certificate yet, a handshake ends with the alert
// internal_error (RFC 8446, 6.2), and the log says why.
//
// A config with a protocol still lets a client through that offers no ALPN.
// crypto/tls also lets one through that offers http/1.1 and not h2 where h2
// alone is served (Go issue 46310): whoever wants it refused looks at the
// hello first.
func (x *Index) TLSConfig(domain string, proto ALPN) *tls.Config {
	return x.table.Load().byName[domain].config(proto)
}

// ApexTLSConfig is TLSConfig for the domain itself; nil if it has no source with Apex.
func (x *Index) ApexTLSConfig(domain string, proto ALPN) *tls.Config {
	return x.table.Load().apexes[domain].config(proto)
}

func (d *domain) config(proto ALPN) *tls.Config {
	if d == nil || proto >= alpnCount {
		return nil
	}
	return d.configs[proto]
}

// newConfigs makes the domain's configs, one per protocol.
func (d *domain) newConfigs(opts Options) (configs [alpnCount]*tls.Config) {
	for a := range configs {
		c := &tls.Config{
			MinVersion:       opts.MinVersion,
			CipherSuites:     opts.CipherSuites,
			CurvePreferences: curves,
			GetCertificate:   d.certificate,
		}
		if name := ALPN(a).String(); name != "" {
			c.NextProtos = []string{name}
		}
		configs[a] = c
	}
	return configs
}

// certificate is called by each full handshake, so that it takes the newest.
func (d *domain) certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	p := d.served.Load()
	if p == nil {
		return nil, d.refuse(time.Now())
	}
	return p.cert, nil
}

// covers tells whether name, a wildcard or not, is one of a certificate's. A wildcard
// does not cover the domain itself (RFC 9525, 6.3).
func covers(names []string, name string) bool {
	return slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, name) })
}
