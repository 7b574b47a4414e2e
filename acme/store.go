package acme

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"time"
)

// Store keeps small values under keys, for one gateway or for several that share it.
// Some values hold private keys: only the gateway may read them. All methods may
// be called concurrently.
//
// Keys are of the letters a-z, digits and "-._/", have at most 250 bytes and no
// prefix of their own: an adapter over a store with other contents puts one in front
// ("acme/", 5 bytes of registry's 256). Values have at most 200 KiB and are
// never nil. An adapter over compare-and-swap commits Put and Delete without a
// condition: each key has one writer, which holds the lock of its name.
//
// Lock is a lease: over a store with conditions and TTLs it puts owner under the
// name with the TTL, on condition that there is no such pair or its value is
// owner, in the revision that was read; a conflict is false. Unlock deletes the
// pair on condition that its value is owner.
type Store interface {
	// Get returns the value of key, or an error that is fs.ErrNotExist.
	Get(ctx context.Context, key string) ([]byte, error)
	// Put returns when the value is durable.
	Put(ctx context.Context, key string, value []byte) error
	// Delete returns nil if there is no such key.
	Delete(ctx context.Context, key string) error
	// List returns all pairs whose keys begin with prefix.
	List(ctx context.Context, prefix string) (map[string][]byte, error)

	// Lock gives the lease to owner, or prolongs it, unless another has it.
	Lock(ctx context.Context, name, owner string, ttl time.Duration) (bool, error)
	// Unlock ends the lease if owner has it.
	Unlock(ctx context.Context, name, owner string) error
}

// The keys and their values. A name's "*" is written "wildcard_" by certmagic, so here too.
//
//	certificates/<name>/<authority>   chain, key and origin, in one value: record.go
//	accounts/<authority>              key and URI of the account: account.go
//	orders/<name>                     key and orders under way: pending.go
//	names/<name>                      last failure, next try, suggested renewal: worker.go
//	keys/<domain>/<time>-<hash>       a key that was used, with its evidence: history.go
//	locks/<name>                      leases

// maxValue bounds what is read from the store.
const maxValue = 200 << 10

// errDamaged is a value that cannot be what was put.
var errDamaged = errors.New("is damaged")

// getJSON reads the value of key into v. ok is false if there is none.
func getJSON(ctx context.Context, s Store, key string, v any) (ok bool, err error) {
	data, err := s.Get(ctx, key)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("stored %s: %w", key, err)
	}
	err = decode(key, data, v)
	return err == nil, err
}

func decode(key string, data []byte, v any) error {
	if len(data) > maxValue {
		return fmt.Errorf("stored %s: %w: it has %d bytes", key, errDamaged, len(data))
	}
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("stored %s: %w: %w", key, errDamaged, err)
	}
	return nil
}

func putJSON(ctx context.Context, s Store, key string, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("store %s: %w", key, err)
	}
	if err := s.Put(ctx, key, data); err != nil {
		return fmt.Errorf("store %s: %w", key, err)
	}
	return nil
}
