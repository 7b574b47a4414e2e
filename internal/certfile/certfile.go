// Package certfile reads the files of certificates and keys as a server that runs
// for years must: bounded, and never held up by what stands in their place.
package certfile

import (
	"crypto/x509"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
	"time"
)

// MaxSize bounds a file in bytes. A chain takes some 5 kB.
const MaxSize = 256 << 10

// Read reads a regular file of up to MaxSize bytes. It follows symbolic links,
// which is how certbot and Kubernetes replace certificates. A FIFO or a device in
// the file's place must not hold up the gateway, hence O_NONBLOCK. The mode tells
// who else may read it.
func Read(name string) ([]byte, fs.FileMode, error) { return read(name, MaxSize) }

func read(name string, limit int64) ([]byte, fs.FileMode, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, 0, err
	}
	if !st.Mode().IsRegular() {
		return nil, 0, fmt.Errorf("%s: want a regular file", name)
	}
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, 0, err
	}
	if int64(len(data)) > limit {
		return nil, 0, fmt.Errorf("%s: want at most %d bytes", name, limit)
	}
	return data, st.Mode(), nil
}

// CheckKeyMode says why a file of this mode can hold no private key: what others may read is
// no secret, and what others may write is theirs.
func CheckKeyMode(mode fs.FileMode) error {
	if perm := mode.Perm(); perm&0o077 != 0 {
		return fmt.Errorf("the private key is open to others (mode %04o): run chmod 600 on it, and get a new one if others may have read it", perm)
	}
	return nil
}

// MaxRSABits bounds the RSA key of a certificate that is served. A signature takes time with
// the cube of the key's length, for every stranger's handshake.
const MaxRSABits = 4096

// CheckTime says why leaf is not valid now.
func CheckTime(leaf *x509.Certificate, now time.Time) error {
	switch {
	case now.After(leaf.NotAfter):
		return fmt.Errorf("expired at %s: want a renewed one", leaf.NotAfter.UTC().Format(time.RFC3339))
	case now.Before(leaf.NotBefore):
		return fmt.Errorf("is not valid before %s: want one valid now; is the clock right?", leaf.NotBefore.UTC().Format(time.RFC3339))
	}
	return nil
}
