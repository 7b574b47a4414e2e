package ratls

import (
	"encoding/hex"
	"errors"
	"fmt"
)

// AppID is the id of an app. The zero value means none. It is never read from a
// certificate.
type AppID [20]byte

// InstanceID is the id of one instance (CVM) of an app. The zero value means none: an app
// may be configured to have CVMs without an id.
type InstanceID [20]byte

// Hash is a SHA-256 hash. The zero value means none.
type Hash [32]byte

// Bytes is a byte slice that is written as hex in text and JSON.
type Bytes []byte

// ParseAppID returns the id with these 40 hex digits. It refuses the zero id.
func ParseAppID(s string) (AppID, error) {
	var id AppID
	err := parseHex(id[:], s)
	if err == nil && id.IsZero() {
		err = errZero
	}
	if err != nil {
		return AppID{}, fmt.Errorf("app id: %w", err)
	}
	return id, nil
}

// ParseInstanceID returns the id with these 40 hex digits. It refuses the zero id.
func ParseInstanceID(s string) (InstanceID, error) {
	var id InstanceID
	err := parseHex(id[:], s)
	if err == nil && id.IsZero() {
		err = errZero
	}
	if err != nil {
		return InstanceID{}, fmt.Errorf("instance id: %w", err)
	}
	return id, nil
}

// ParseHash returns the hash with these 64 hex digits.
func ParseHash(s string) (Hash, error) {
	var h Hash
	if err := parseHex(h[:], s); err != nil {
		return Hash{}, fmt.Errorf("hash: %w", err)
	}
	return h, nil
}

// IsZero reports whether id means none.
func (id AppID) IsZero() bool { return id == AppID{} }

// IsZero reports whether id means none.
func (id InstanceID) IsZero() bool { return id == InstanceID{} }

// IsZero reports whether h means none.
func (h Hash) IsZero() bool { return h == Hash{} }

// String returns the id in lower-case hex, "" for none.
func (id AppID) String() string { return hexOrNone(id[:], id.IsZero()) }

// String returns the id in lower-case hex, "" for none.
func (id InstanceID) String() string { return hexOrNone(id[:], id.IsZero()) }

// String returns the hash in lower-case hex, "" for none.
func (h Hash) String() string { return hexOrNone(h[:], h.IsZero()) }

// String returns b in lower-case hex.
func (b Bytes) String() string { return hex.EncodeToString(b) }

// The texts below are those in the JSON of dstack's tools.

// MarshalText returns the text of String.
func (id AppID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// MarshalText returns the text of String.
func (id InstanceID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// MarshalText returns the text of String.
func (h Hash) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// MarshalText returns the text of String.
func (b Bytes) MarshalText() ([]byte, error) { return []byte(b.String()), nil }

// hexOrNone returns b in hex, or "" for none, in logs and JSON.
func hexOrNone(b []byte, none bool) string {
	if none {
		return ""
	}
	return hex.EncodeToString(b)
}

var errZero = errors.New("all zero")

// parseHex fills dst. After an error dst may be half written.
func parseHex(dst []byte, s string) error {
	if len(s) != hex.EncodedLen(len(dst)) {
		return fmt.Errorf("%d characters, want %d hex digits", len(s), hex.EncodedLen(len(dst)))
	}
	if _, err := hex.Decode(dst, []byte(s)); err != nil {
		return errors.New("not hex")
	}
	return nil
}
