package certs

import (
	"crypto/sha256"
	"errors"
	"io/fs"

	"sallyport/internal/certfile"
)

// files are a certificate's two files as they were read.
type files struct {
	cert, key []byte
	keyMode   fs.FileMode
	sum       [32]byte // of both contents
}

// readFiles reads both files of s. Two that are wrong are two problems.
func readFiles(s Source) (f files, err error) {
	var certErr, keyErr error
	f.cert, _, certErr = certfile.Read(s.CertFile)
	f.key, f.keyMode, keyErr = certfile.Read(s.KeyFile)
	if err := errors.Join(certErr, keyErr); err != nil {
		return files{}, err
	}
	certSum, keySum := sha256.Sum256(f.cert), sha256.Sum256(f.key)
	f.sum = sha256.Sum256(append(certSum[:], keySum[:]...))
	return f, nil
}
