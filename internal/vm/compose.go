package vm

import (
	"encoding/hex"
	"errors"
)

// ComposeHash is the SHA-256 of an app's compose file, as the CVM measured it. It
// is comparable.
type ComposeHash [32]byte

var errCompose = errors.New("compose hash: want 64 hex digits")

// ParseComposeHash reads 64 hex digits.
func ParseComposeHash(s string) (ComposeHash, error) {
	var h ComposeHash
	if len(s) != hex.EncodedLen(len(h)) {
		return ComposeHash{}, errCompose
	}
	if _, err := hex.Decode(h[:], []byte(s)); err != nil {
		return ComposeHash{}, errCompose
	}
	return h, nil
}

// IsZero reports whether h is unset: a static instance has none.
func (h ComposeHash) IsZero() bool { return h == ComposeHash{} }

// String is the hash in lower-case hex.
func (h ComposeHash) String() string { return hex.EncodeToString(h[:]) }
