package ratls

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"sallyport/internal/atomicfile"
	"sallyport/internal/regularfile"
	"sallyport/internal/secretfile"
)

// The files in the directory of an authority.
const (
	RootFile    = "ca.pem" // the root certificate, which others must trust
	RootKeyFile = "ca.key" // its key: only the owner may read it
)

// maxAuthorityFile bounds a file in bytes. One takes less than 1 kB.
const maxAuthorityFile = 64 << 10

// ErrNoAuthority is the error of LoadAuthority for a directory without RootFile.
var ErrNoAuthority = errors.New("no authority")

// Save writes the authority to the files of dir. It makes dir if it is missing. Save
// overwrites nothing: if one of the files exists, it fails and leaves none.
func (a *Authority) Save(dir string) error {
	root, key, err := a.EncodePEM()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return writePair(filepath.Join(dir, RootFile), root, filepath.Join(dir, RootKeyFile), key)
}

// LoadAuthority reads the authority that Save has written to dir. The error is
// ErrNoAuthority if there is none. LoadAuthority refuses a key that others may read.
func LoadAuthority(dir string) (*Authority, error) {
	root, _, err := regularfile.Read(filepath.Join(dir, RootFile), maxAuthorityFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w in %s", ErrNoAuthority, dir)
	}
	if err != nil {
		return nil, err
	}
	keyFile := filepath.Join(dir, RootKeyFile)
	key, info, err := regularfile.Read(keyFile, maxAuthorityFile)
	if err != nil {
		return nil, err
	}
	if err := secretfile.CheckMode(info.Mode()); err != nil {
		return nil, fmt.Errorf("%s %w", keyFile, err)
	}
	a, err := ParseAuthority(root, key)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	return a, nil
}

// WriteFiles writes a certificate's chain and its key to two files, in PEM. Only the
// owner may read the key. WriteFiles overwrites nothing: if one of the files exists, it
// fails and leaves the other unwritten.
func WriteFiles(c tls.Certificate, certFile, keyFile string) error {
	chain, key, err := EncodePEM(c)
	if err != nil {
		return err
	}
	return writePair(certFile, chain, keyFile, key)
}

func writePair(certFile string, cert []byte, keyFile string, key []byte) error {
	if err := writeNew(keyFile, key, 0o600); err != nil {
		return err
	}
	if err := writeNew(certFile, cert, 0o644); err != nil {
		_ = os.Remove(keyFile)
		return err
	}
	return nil
}

func writeNew(file string, data []byte, mode fs.FileMode) error {
	err := atomicfile.Create(file, data, mode)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s exists already: remove it, or choose another path", file)
	}
	return err
}
