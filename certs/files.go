package certs

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
)

// maxFile bounds a file in bytes. A chain takes some 5 kB.
const maxFile = 256 << 10

// files are a certificate's two files as they were read.
type files struct {
	cert, key []byte
	keyMode   fs.FileMode
	sum       [32]byte // of both contents
}

// readFiles reads both files of s. Two that are wrong are two problems.
func readFiles(s Source) (f files, err error) {
	var certErr, keyErr error
	f.cert, _, certErr = readFile(s.CertFile)
	f.key, f.keyMode, keyErr = readFile(s.KeyFile)
	if err := errors.Join(certErr, keyErr); err != nil {
		return files{}, err
	}
	certSum, keySum := sha256.Sum256(f.cert), sha256.Sum256(f.key)
	f.sum = sha256.Sum256(append(certSum[:], keySum[:]...))
	return f, nil
}

// readFile follows symbolic links, which is how certbot and Kubernetes replace
// certificates. A FIFO or a device in the file's place must not hold up the
// gateway, hence O_NONBLOCK.
func readFile(name string) ([]byte, fs.FileMode, error) {
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
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, 0, err
	}
	if len(data) > maxFile {
		return nil, 0, fmt.Errorf("%s: want at most %d bytes", name, maxFile)
	}
	return data, st.Mode(), nil
}
