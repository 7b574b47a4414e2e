package issue

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"sallyport/acme"
	"sallyport/registry/store"
)

// prefix is in front of acme's keys in the gateway's store.
const prefix = "acme/"

// Store is the gateway's store as package acme sees it.
type Store struct{ store.Store }

var _ acme.Store = Store{}

// Get implements acme.Store.
func (s Store) Get(ctx context.Context, key string) ([]byte, error) {
	p, ok, err := s.Store.Get(ctx, prefix+key)
	if err == nil && !ok {
		return nil, fmt.Errorf("%s: %w", key, fs.ErrNotExist)
	}
	return p.Value, err
}

// Put implements acme.Store.
func (s Store) Put(ctx context.Context, key string, value []byte) error {
	return s.commit(ctx, store.Txn{Then: []store.Change{{Key: prefix + key, Value: value}}})
}

// Delete implements acme.Store.
func (s Store) Delete(ctx context.Context, key string) error {
	return s.commit(ctx, store.Txn{Then: []store.Change{{Key: prefix + key}}})
}

// List implements acme.Store.
func (s Store) List(ctx context.Context, under string) (map[string][]byte, error) {
	pairs, _, err := s.Store.List(ctx, prefix+under)
	if err != nil {
		return nil, err
	}
	all := make(map[string][]byte, len(pairs))
	for _, p := range pairs {
		all[strings.TrimPrefix(p.Key, prefix)] = p.Value
	}
	return all, nil
}

// Lock implements acme.Store. The condition on the revision that was read makes it
// safe between gateways: of two that find the lease free one meets a conflict.
func (s Store) Lock(ctx context.Context, name, owner string, ttl time.Duration) (bool, error) {
	p, ok, err := s.Store.Get(ctx, prefix+name)
	if err != nil || ok && string(p.Value) != owner {
		return false, err
	}
	err = s.commit(ctx, store.Txn{
		If:   []store.Condition{{Key: prefix + name, Revision: p.Revision}},
		Then: []store.Change{{Key: prefix + name, Value: []byte(owner), TTL: ttl}},
	})
	if errors.Is(err, store.ErrConflict) {
		return false, nil
	}
	return err == nil, err
}

// Unlock implements acme.Store.
func (s Store) Unlock(ctx context.Context, name, owner string) error {
	p, ok, err := s.Store.Get(ctx, prefix+name)
	if err != nil || !ok || string(p.Value) != owner {
		return err
	}
	err = s.commit(ctx, store.Txn{
		If:   []store.Condition{{Key: prefix + name, Revision: p.Revision}},
		Then: []store.Change{{Key: prefix + name}},
	})
	if errors.Is(err, store.ErrConflict) { // it ended, and another has it by now
		return nil
	}
	return err
}

func (s Store) commit(ctx context.Context, t store.Txn) error {
	_, err := s.Commit(ctx, t)
	return err
}
