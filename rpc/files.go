package rpc

import (
	"context"
	"crypto/x509"
	"time"

	"sallyport/internal/certfile"
	"sallyport/internal/follow"
)

// Files names PEM files. They are followed by content: one that is replaced is
// served within seconds.
type Files struct {
	Cert     string // the leaf, then the authorities up to the root
	Key      string // not encrypted
	ClientCA string // the root that guests' certificates lead to
}

const (
	// Certificate and key are two files, replaced one after the other. Between the
	// two they do not match, and the old pair stays until the next look.
	lookInterval = 5 * time.Second
)

type fileSource struct{ Files }

func (s fileSource) wait(*x509.Certificate, time.Time, int) time.Duration { return lookInterval }

func (s fileSource) load(context.Context) (material, error) {
	r, err := follow.Read(certfile.MaxSize, s.Cert, s.Key, s.ClientCA)
	if err != nil {
		return material{}, err
	}
	if err := certfile.CheckKeyMode(r.Files[1].Mode); err != nil {
		return material{}, wrap(s.Key, err)
	}
	return material{cert: r.Files[0].Data, key: r.Files[1].Data, ca: r.Files[2].Data, caFile: s.ClientCA}, nil
}

// ReadRoots reads the authorities of a PEM file as those of Files.ClientCA are.
func ReadRoots(file string) (*x509.CertPool, error) {
	data, _, err := certfile.Read(file)
	if err != nil {
		return nil, err
	}
	roots, err := parseAuthorities(data)
	return roots.pool, wrap(file, err)
}
