package acme

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/certmagic"
)

// The Store as certmagic sees it. Certmagic writes a certificate as three files, one after
// the other, the key first: a kill in between would leave the new key beside the old
// certificate, and the old key lost. So the three are one value here, put when
// they are complete; until then they are in memory.
//
// One storage serves one attempt at one name: a lost lock ends that attempt.

// storage implements certmagic.Storage.
type storage struct {
	store  Store
	leases *leases
	lost   context.CancelCauseFunc // ends the attempt

	mu      sync.Mutex // guards what follows
	parts   map[string]map[string][]byte
	release map[string]func(context.Context) error
}

var _ certmagic.Storage = (*storage)(nil)

func newStorage(s Store, l *leases, lost context.CancelCauseFunc) *storage {
	return &storage{
		store: s, leases: l, lost: lost,
		parts: map[string]map[string][]byte{}, release: map[string]func(context.Context) error{},
	}
}

// The three parts of a certificate, by their extensions.
const (
	partChain = ".crt"
	partKey   = ".key"
	partMeta  = ".json"
)

// split takes certmagic's certificates/<authority>/<name>/<name><part> apart.
func split(key string) (record, part string, err error) {
	p := strings.Split(key, "/")
	part = path.Ext(key)
	if len(p) != 4 || p[0] != "certificates" || p[3] != p[2]+part || part != partChain && part != partKey && part != partMeta {
		return "", "", fmt.Errorf("storage key %q is not part of a certificate", key)
	}
	return recordPrefix(p[2]) + p[1], part, nil
}

// Store implements certmagic.Storage.
func (s *storage) Store(ctx context.Context, key string, value []byte) error {
	record, part, err := split(key)
	if err != nil {
		return err
	}
	s.mu.Lock()
	if s.parts[record] == nil {
		s.parts[record] = map[string][]byte{}
	}
	p := s.parts[record]
	p[part] = value
	whole := len(p) == 3
	if whole {
		delete(s.parts, record)
	}
	s.mu.Unlock()
	if !whole {
		return nil
	}
	return putJSON(ctx, s.store, record, certificateRecord{
		Chain: string(p[partChain]), Key: string(p[partKey]), Meta: p[partMeta], Stored: time.Now().UTC(),
	})
}

// Load implements certmagic.Storage.
func (s *storage) Load(ctx context.Context, key string) ([]byte, error) {
	record, part, err := split(key)
	if err != nil {
		return nil, err
	}
	var r certificateRecord
	ok, err := getJSON(ctx, s.store, record, &r)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, fmt.Errorf("%s: %w", key, fs.ErrNotExist)
	}
	return r.part(part), nil
}

// Delete implements certmagic.Storage: of a part that was not put yet, which is how
// certmagic rolls back. A certificate that is complete is replaced, never deleted.
func (s *storage) Delete(_ context.Context, key string) error {
	record, part, err := split(key)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.parts[record], part)
	return nil
}

// Exists implements certmagic.Storage. To certmagic there is never a certificate:
// whether a new one is wanted is decided by the worker, and again by attempt.event
// with the lock held. A "renewal" of certmagic's would read the old one first, and
// fail with it where that is damaged.
func (s *storage) Exists(context.Context, string) bool { return false }

// List implements certmagic.Storage. Obtaining and renewing do not list.
func (s *storage) List(context.Context, string, bool) ([]string, error) {
	return nil, errors.ErrUnsupported
}

// Stat implements certmagic.Storage.
func (s *storage) Stat(ctx context.Context, key string) (certmagic.KeyInfo, error) {
	data, err := s.Load(ctx, key)
	if err != nil {
		return certmagic.KeyInfo{}, err
	}
	return certmagic.KeyInfo{Key: key, Size: int64(len(data)), IsTerminal: true}, nil
}

// Lock implements certmagic.Storage.
func (s *storage) Lock(ctx context.Context, name string) error {
	release, err := s.leases.hold(ctx, lockKey(name), s.lost)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.release[name] = release
	return nil
}

// Unlock implements certmagic.Storage. It works after the end of the attempt too.
func (s *storage) Unlock(ctx context.Context, name string) error {
	s.mu.Lock()
	release := s.release[name]
	delete(s.release, name)
	s.mu.Unlock()
	if release == nil {
		return fmt.Errorf("lock %s is not held", name)
	}
	ctx, cancel := cleanUpContext(ctx)
	defer cancel()
	return release(ctx)
}

func lockKey(name string) string { return "locks/" + certmagic.StorageKeys.Safe(name) }

// certificateRecord is a stored certificate.
type certificateRecord struct {
	Chain  string          `json:"chain"` // PEM
	Key    string          `json:"key"`   // PEM
	Meta   json.RawMessage `json:"meta"`  // certmagic's
	Stored time.Time       `json:"stored"`
}

func (r *certificateRecord) part(ext string) []byte {
	switch ext {
	case partChain:
		return []byte(r.Chain)
	case partKey:
		return []byte(r.Key)
	}
	return r.Meta
}
