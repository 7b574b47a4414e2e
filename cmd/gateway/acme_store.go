package main

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

// acmePrefix is in front of acme's keys in the gateway's store.
const acmePrefix = "acme/"

// acmeStore is the gateway's store as package acme sees it.
type acmeStore struct{ store.Store }

var _ acme.Store = acmeStore{}

// Get implements acme.Store.
func (s acmeStore) Get(ctx context.Context, key string) ([]byte, error) {
	p, ok, err := s.Store.Get(ctx, acmePrefix+key)
	if err == nil && !ok {
		return nil, fmt.Errorf("%s: %w", key, fs.ErrNotExist)
	}
	return p.Value, err
}

// Put implements acme.Store.
func (s acmeStore) Put(ctx context.Context, key string, value []byte) error {
	return s.commit(ctx, store.Txn{Then: []store.Change{{Key: acmePrefix + key, Value: value}}})
}

// Delete implements acme.Store.
func (s acmeStore) Delete(ctx context.Context, key string) error {
	return s.commit(ctx, store.Txn{Then: []store.Change{{Key: acmePrefix + key}}})
}

// List implements acme.Store.
func (s acmeStore) List(ctx context.Context, prefix string) (map[string][]byte, error) {
	pairs, _, err := s.Store.List(ctx, acmePrefix+prefix)
	if err != nil {
		return nil, err
	}
	all := make(map[string][]byte, len(pairs))
	for _, p := range pairs {
		all[strings.TrimPrefix(p.Key, acmePrefix)] = p.Value
	}
	return all, nil
}

// Lock implements acme.Store. The condition on the revision that was read makes it
// safe between gateways: of two that find the lease free one meets a conflict.
func (s acmeStore) Lock(ctx context.Context, name, owner string, ttl time.Duration) (bool, error) {
	p, ok, err := s.Store.Get(ctx, acmePrefix+name)
	if err != nil || ok && string(p.Value) != owner {
		return false, err
	}
	err = s.commit(ctx, store.Txn{
		If:   []store.Condition{{Key: acmePrefix + name, Revision: p.Revision}},
		Then: []store.Change{{Key: acmePrefix + name, Value: []byte(owner), TTL: ttl}},
	})
	if errors.Is(err, store.ErrConflict) {
		return false, nil
	}
	return err == nil, err
}

// Unlock implements acme.Store.
func (s acmeStore) Unlock(ctx context.Context, name, owner string) error {
	p, ok, err := s.Store.Get(ctx, acmePrefix+name)
	if err != nil || !ok || string(p.Value) != owner {
		return err
	}
	err = s.commit(ctx, store.Txn{
		If:   []store.Condition{{Key: acmePrefix + name, Revision: p.Revision}},
		Then: []store.Change{{Key: acmePrefix + name}},
	})
	if errors.Is(err, store.ErrConflict) { // it ended, and another has it by now
		return nil
	}
	return err
}

func (s acmeStore) commit(ctx context.Context, t store.Txn) error {
	_, err := s.Commit(ctx, t)
	return err
}
