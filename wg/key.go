package wg

import (
	"bytes"
	"crypto/ecdh"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"sallyport/internal/atomicfile"
	"sallyport/internal/regularfile"
	"sallyport/internal/secretfile"
	"sallyport/internal/vm"
)

// PrivateKey is a WireGuard private key. Whatever prints or encodes it gets
// "redacted".
type PrivateKey struct{ secret [32]byte }

const redacted = "redacted"

// keyFileSize bounds the key file: 44 characters, and room for the line end
// that wg(8) or an editor adds.
const keyFileSize = 64

// GenerateKey makes a new key. An error means that the system has no entropy.
func GenerateKey() (PrivateKey, error) {
	var k PrivateKey
	if _, err := rand.Read(k.secret[:]); err != nil {
		return PrivateKey{}, fmt.Errorf("wg: generate key: %w", err)
	}
	return k.clamped(), nil
}

// LoadOrCreateKey reads the private key of path (base64, as `wg genkey` prints),
// or makes one at the first start, readable by its owner alone. A file that is
// there but damaged, or that others may read, is an error and stays as it is: a
// new identity would cut every guest off from its tunnel.
func LoadOrCreateKey(path string) (PrivateKey, error) {
	k, err := loadKey(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return k, err
	}
	k, err = GenerateKey()
	if err != nil {
		return PrivateKey{}, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return PrivateKey{}, fmt.Errorf("wg: create private key: %w", err)
	}
	err = atomicfile.Create(path, []byte(k.text()+"\n"), 0o600)
	if errors.Is(err, fs.ErrExist) { // another process was first: its key is the identity
		return loadKey(path)
	}
	if err != nil {
		return PrivateKey{}, fmt.Errorf("wg: create private key: %w", err)
	}
	return k, nil
}

// Public is the key that peers know.
func (k PrivateKey) Public() vm.WGKey {
	priv, err := ecdh.X25519().NewPrivateKey(k.secret[:])
	if err != nil { // only a wrong length, which the type excludes
		return vm.WGKey{}
	}
	return vm.WGKey(priv.PublicKey().Bytes())
}

// IsZero reports whether k is unset.
func (k PrivateKey) IsZero() bool { return k == PrivateKey{} }

// String is "redacted".
func (k PrivateKey) String() string { return redacted }

// LogValue is "redacted".
func (k PrivateKey) LogValue() slog.Value { return slog.StringValue(redacted) }

// Format keeps the key out of every verb of package fmt, %x and %d included.
func (k PrivateKey) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

func (k PrivateKey) text() string { return base64.StdEncoding.EncodeToString(k.secret[:]) }

// clamped is the form of RFC 7748, 5, which every WireGuard stores. Clamping at
// the edge lets us compare what a device reports with what we gave it.
func (k PrivateKey) clamped() PrivateKey {
	k.secret[0] &= 248
	k.secret[31] = k.secret[31]&127 | 64
	return k
}

func loadKey(path string) (PrivateKey, error) {
	text, info, err := regularfile.Read(path, keyFileSize)
	if info != nil {
		if open := secretfile.CheckMode(info.Mode()); open != nil {
			return PrivateKey{}, fmt.Errorf("wg: private key %s %w", path, open)
		}
	}
	var k PrivateKey
	switch {
	case err == nil:
		k, err = parseKey(text)
	case !errors.Is(err, regularfile.ErrTooLarge):
		return PrivateKey{}, fmt.Errorf("wg: private key: %w", err)
	}
	if err != nil {
		return PrivateKey{}, fmt.Errorf("wg: private key %s is damaged (%w): restore it from a backup; if there is none, remove it, and every guest must register again", path, err)
	}
	return k, nil
}

// parseKey reads the text form. Its errors never quote the text.
func parseKey(text []byte) (PrivateKey, error) {
	var k PrivateKey
	text = bytes.TrimSpace(text)
	if len(text) != base64.StdEncoding.EncodedLen(len(k.secret)) {
		return PrivateKey{}, errors.New("want 44 characters of base64")
	}
	raw, err := base64.StdEncoding.Strict().DecodeString(string(text))
	if err != nil || len(raw) != len(k.secret) {
		return PrivateKey{}, errors.New("want 44 characters of base64")
	}
	copy(k.secret[:], raw)
	if k.IsZero() {
		return PrivateKey{}, errors.New("the all-zero key is not valid")
	}
	return k.clamped(), nil
}
