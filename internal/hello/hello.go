package hello

import "encoding/binary"

// Hello is the part of a ClientHello that a gateway needs. Its slices are
// views on the stream that was parsed, or on a copy if the message came in
// several records: they hold while the caller leaves the stream's bytes alone.
type Hello struct {
	// ServerName is the host name in its one form: labels of lower-case letters,
	// digits, '-' and '_', with a dot between them and none at the end. Nil if there
	// is none.
	ServerName []byte
	ALPN       ALPN
	Versions   Versions
	SessionID  []byte // legacy_session_id, at most 32 bytes
	// MaxPlaintext is the most bytes that a record to the client should carry; 0 is as
	// many as TLS allows. Small devices ask for little (RFC 6066, 4, and RFC 8449).
	MaxPlaintext int
	// EarlyData reports whether the client offers to send data with the hello.
	EarlyData bool
	// Entries is how many elements the hello's lists have, those together that a server
	// goes through: cipher suites, extensions, protocols, groups, signatures, key shares,
	// tickets. It is what the hello costs a server, which its length is not.
	Entries int
	// Length is the number of bytes of the stream that the hello's records
	// take. Bytes after them (early data, say) were not looked at.
	Length int
}

// Version numbers on the wire. They are those of crypto/tls.
const (
	versionTLS10 = 0x0301
	versionTLS12 = 0x0303
	versionTLS13 = 0x0304
)

// Versions is the set of protocol versions that a hello offers.
type Versions struct {
	list   []byte // supported_versions, two bytes each; nil if not sent
	legacy uint16 // legacy_version
}

// Supports reports whether the client offers version (tls.VersionTLS12, say).
// A hello without supported_versions offers its legacy version and those
// before it down to TLS 1.0, but never TLS 1.3 (RFC 8446, 4.2.1 and D.2).
func (v Versions) Supports(version uint16) bool {
	if v.list == nil {
		return versionTLS10 <= version && version <= min(v.legacy, versionTLS12)
	}
	for i := 0; i < len(v.list); i += 2 {
		if binary.BigEndian.Uint16(v.list[i:]) == version {
			return true
		}
	}
	return false
}

// Max returns the highest version from TLS 1.0 to TLS 1.3 that the client
// offers, 0 if there is none. GREASE (RFC 8701) and drafts do not count.
func (v Versions) Max() uint16 {
	for version := uint16(versionTLS13); version >= versionTLS10; version-- {
		if v.Supports(version) {
			return version
		}
	}
	return 0
}
