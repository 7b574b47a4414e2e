package certs

import (
	"io/fs"

	"sallyport/internal/certfile"
	"sallyport/internal/follow"
)

// files are a certificate's two files as they were read.
type files struct {
	cert, key []byte
	keyMode   fs.FileMode
	sum       follow.Sum
}

// readFiles reads both files of s.
func readFiles(s Source) (files, error) {
	r, err := follow.Read(certfile.MaxSize, s.CertFile, s.KeyFile)
	if err != nil {
		return files{}, err
	}
	return files{cert: r.Files[0].Data, key: r.Files[1].Data, keyMode: r.Files[1].Mode, sum: r.Sum}, nil
}
