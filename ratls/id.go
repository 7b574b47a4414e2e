package ratls

import (
	"encoding/hex"
	"errors"
	"fmt"
)

// AppID names an app. The zero value means none, and is never read from a
// certificate.
type AppID [20]byte

// InstanceID names one machine of an app. The zero value means none: an app may
// ask for machines without an id.
type InstanceID [20]byte

// Hash is a SHA-256 sum. The zero value means none.
type Hash [32]byte

// Bytes are raw bytes whose text is hex.
type Bytes []byte

// ParseAppID reads 40 hex digits, not all zero.
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

// ParseInstanceID reads 40 hex digits, not all zero.
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

// ParseHash reads 64 hex digits.
func ParseHash(s string) (Hash, error) {
	var h Hash
	if err := parseHex(h[:], s); err != nil {
		return Hash{}, fmt.Errorf("hash: %w", err)
	}
	return h, nil
}

// IsZero reports whether there is no id.
func (id AppID) IsZero() bool { return id == AppID{} }

// IsZero reports whether there is no id.
func (id InstanceID) IsZero() bool { return id == InstanceID{} }

// IsZero reports whether there is no hash.
func (h Hash) IsZero() bool { return h == Hash{} }

// String is the id in lower-case hex, "" for none.
func (id AppID) String() string { return hexOrNone(id[:], id.IsZero()) }

// String is the id in lower-case hex, "" for none.
func (id InstanceID) String() string { return hexOrNone(id[:], id.IsZero()) }

// String is the hash in lower-case hex, "" for none.
func (h Hash) String() string { return hexOrNone(h[:], h.IsZero()) }

// String is b in lower-case hex.
func (b Bytes) String() string { return hex.EncodeToString(b) }

// The texts below are those of the JSON that dstack's tools exchange.

// MarshalText is String.
func (id AppID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// MarshalText is String.
func (id InstanceID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// MarshalText is String.
func (h Hash) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// MarshalText is String.
func (b Bytes) MarshalText() ([]byte, error) { return []byte(b.String()), nil }

// hexOrNone tells "nobody said" from a value in logs and in JSON.
func hexOrNone(b []byte, none bool) string {
	if none {
		return ""
	}
	return hex.EncodeToString(b)
}

var errZero = errors.New("all zero")

// parseHex fills dst, which it may leave half written when it fails.
func parseHex(dst []byte, s string) error {
	if len(s) != hex.EncodedLen(len(dst)) {
		return fmt.Errorf("%d characters, want %d hex digits", len(s), hex.EncodedLen(len(dst)))
	}
	if _, err := hex.Decode(dst, []byte(s)); err != nil {
		return errors.New("not hex")
	}
	return nil
}
