package certs

import (
	"crypto/tls"
	"slices"
	"strings"
	"time"

	"sallyport/internal/ciphers"
	"sallyport/internal/hello"
)

// ready are the protocols for which a domain has a config at hand: nearly all that
// clients are confirmed.
var ready = [...]string{"", hello.HTTP1, hello.PostgreSQL, hello.HTTP2}

// TLSConfig returns the configuration that terminates a connection of a name below the
// domain, if the client is confirmed the protocol, "" for none. It is nil for an unknown
// domain. For common protocols it does not allocate, and the pointer stays the same
// for the life of the domain: a new certificate is served by the same config. For
// another one, which a client chooses, the config is the connection's own, and
// nothing of it is kept. domain must be lower case; the caller must not change the
// config. While the domain has no certificate yet, a handshake ends with the alert
// internal_error (RFC 8446, 6.2), and the log says why.
//
// A config with a protocol still lets a client through that offers no ALPN.
// crypto/tls also lets one through that offers http/1.1 and not h2 where h2
// alone is served (Go issue 46310): to refuse that, look at the hello
// first.
func (x *Index) TLSConfig(domain, protocol string) *tls.Config {
	return x.table.Load().byName[domain].config(protocol)
}

// ApexTLSConfig is TLSConfig for the domain itself; nil if it has no source with Apex.
func (x *Index) ApexTLSConfig(domain, protocol string) *tls.Config {
	return x.table.Load().apexes[domain].config(protocol)
}

func (d *domain) config(protocol string) *tls.Config {
	if d == nil {
		return nil
	}
	if i := slices.Index(ready[:], protocol); i >= 0 {
		return d.configs[i]
	}
	c := d.configs[0].Clone() // with the ticket keys: sessions are resumed
	c.NextProtos = []string{protocol}
	return c
}

// newConfigs makes the domain's configs, one for each protocol of ready.
func (d *domain) newConfigs(opts Options) (configs [len(ready)]*tls.Config) {
	for i, protocol := range ready {
		c := &tls.Config{
			MinVersion:       opts.MinVersion,
			CipherSuites:     opts.CipherSuites,
			CurvePreferences: ciphers.Curves(),
			GetCertificate:   d.certificate,
		}
		if protocol != "" {
			c.NextProtos = []string{protocol}
		}
		configs[i] = c
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

// covers reports whether name, a wildcard or not, is one of a certificate's. A wildcard
// does not cover the domain itself (RFC 9525, 6.3).
func covers(names []string, name string) bool {
	return slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, name) })
}
