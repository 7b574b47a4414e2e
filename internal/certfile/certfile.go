// Package certfile reads the files of certificates, keys and authorities, and applies the
// checks that every server needs: sizes, the mode of a key's file, validity.
package certfile

import (
	"crypto/x509"
	"fmt"
	"io/fs"
	"time"

	"sallyport/internal/regularfile"
	"sallyport/internal/secretfile"
)

// MaxSize bounds a file in bytes. A chain takes some 5 kB.
const MaxSize = 256 << 10

// Read returns the content and the mode of a regular file of up to MaxSize bytes.
func Read(name string) ([]byte, fs.FileMode, error) {
	data, info, err := regularfile.Read(name, MaxSize)
	if err != nil {
		return nil, 0, err
	}
	return data, info.Mode(), nil
}

// CheckKeyMode returns an error if a file of this mode cannot hold a private key, because
// others may read or write it.
func CheckKeyMode(mode fs.FileMode) error {
	if err := secretfile.CheckMode(mode); err != nil {
		return fmt.Errorf("the private key %w", err)
	}
	return nil
}

// MaxRSABits bounds the RSA key of a certificate that is served. A signature takes time with
// the cube of the key's length, for every stranger's handshake.
const MaxRSABits = 4096

// CheckTime returns an error if leaf is not valid now.
func CheckTime(leaf *x509.Certificate, now time.Time) error {
	switch {
	case now.After(leaf.NotAfter):
		return fmt.Errorf("expired at %s: want a renewed one", leaf.NotAfter.UTC().Format(time.RFC3339))
	case now.Before(leaf.NotBefore):
		return fmt.Errorf("is not valid before %s: want one valid now; is the clock right?", leaf.NotBefore.UTC().Format(time.RFC3339))
	}
	return nil
}
