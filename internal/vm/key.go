package vm

import (
	"encoding/base64"
	"errors"
)

// WGKey is a WireGuard public key. It is comparable and may be a map key: it
// is not secret, so no constant-time comparison is needed.
type WGKey [32]byte

var errKey = errors.New("want 44 characters of standard base64 (32 bytes), as `wg pubkey` prints")

// ParseWGKey reads the base64 form that the wg tool prints. The all-zero key is
// refused: WireGuard treats it as "no key".
func ParseWGKey(s string) (WGKey, error) {
	var k WGKey
	if len(s) != base64.StdEncoding.EncodedLen(len(k)) {
		return WGKey{}, errKey
	}
	raw, err := base64.StdEncoding.Strict().DecodeString(s)
	if err != nil || len(raw) != len(k) {
		return WGKey{}, errKey
	}
	copy(k[:], raw)
	if k.IsZero() {
		return WGKey{}, errors.New("the all-zero key is not valid")
	}
	return k, nil
}

// IsZero reports whether k is unset.
func (k WGKey) IsZero() bool { return k == WGKey{} }

// String is the base64 form.
func (k WGKey) String() string { return base64.StdEncoding.EncodeToString(k[:]) }
