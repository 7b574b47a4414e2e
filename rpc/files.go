package rpc

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"
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

	maxFile = 256 << 10 // a chain takes some 5 kB
)

type fileSource struct{ Files }

func (s fileSource) wait(*x509.Certificate, time.Time, int) time.Duration { return lookInterval }

func (s fileSource) load(context.Context) (m material, err error) {
	var errs [3]error
	var mode os.FileMode
	m.cert, _, errs[0] = readFile(s.Cert)
	m.key, mode, errs[1] = readFile(s.Key)
	m.ca, _, errs[2] = readFile(s.ClientCA)
	if err := errors.Join(errs[:]...); err != nil {
		return material{}, err
	}
	if mode.Perm()&0o044 != 0 {
		m.warning = fmt.Sprintf("the private key %s can be read by others (mode %04o): chmod 600", s.Key, mode.Perm())
	}
	return m, nil
}

// readFile reads a regular file. A FIFO or a device in its place must not hold
// up the gateway, hence O_NONBLOCK.
func readFile(name string) ([]byte, os.FileMode, error) {
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
