// Package ciphers selects the key exchanges of the gateway's listeners, and their cipher
// suites for TLS 1.2. Those of TLS 1.3 are all secure, and crypto/tls has no setting for
// them.
package ciphers

import (
	"crypto/tls"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Intermediate returns the suites of Mozilla's configuration of that name (5.7) that
// crypto/tls has: a fresh key exchange, so that a key that is stolen later opens
// nothing, and AEAD. Left alone, crypto/tls also takes CBC with SHA-1.
func Intermediate() []uint16 {
	return []uint16{
		tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
		tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
		tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
		tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
		tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
		tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
	}
}

// Curves returns the key exchanges. crypto/tls ignores the order and prefers the
// post-quantum hybrid itself. Its defaults P-521 and the hybrids with P-256 and
// P-384 are left out: they cost the gateway more per handshake, and a client
// that has one of them has one of these too.
func Curves() []tls.CurveID {
	return []tls.CurveID{tls.X25519MLKEM768, tls.X25519, tls.CurveP256, tls.CurveP384}
}

// Names returns the suites' names in the registry of IANA.
func Names(suites []uint16) []string {
	names := make([]string, len(suites))
	for i, s := range suites {
		names[i] = tls.CipherSuiteName(s)
	}
	return names
}

// Parse returns the TLS 1.2 suite of a name in the registry of IANA. RC4 and 3DES are
// refused: no client of these days has nothing else (RFC 7465, RFC 8429).
func Parse(name string) (uint16, error) {
	for _, s := range slices.Concat(tls.CipherSuites(), tls.InsecureCipherSuites()) {
		switch {
		case s.Name != name:
		case !slices.Contains(s.SupportedVersions, tls.VersionTLS12):
			return 0, fmt.Errorf("%s belongs to TLS 1.3, whose cipher suites are always on", name)
		case strings.Contains(name, "_RC4_"), strings.Contains(name, "_3DES_"):
			return 0, fmt.Errorf("%s is broken", name)
		default:
			return s.ID, nil
		}
	}
	const most = 64
	return 0, fmt.Errorf("%s is not a TLS 1.2 cipher suite of crypto/tls: want its name in IANA's registry, such as %q",
		strconv.Quote(name[:min(len(name), most)]), "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA")
}
