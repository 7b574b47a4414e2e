package acme

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/x509"
	"errors"
	"time"

	"github.com/caddyserver/certmagic"
)

// The work in progress for a name: its key, and the address of its order at each
// authority, stored as soon as the authority sends it. A restart goes on with both. If
// the certificate was issued but not stored, the order still leads to it, and the
// key is here.

// pendingRecord is stored while a certificate is being obtained.
type pendingRecord struct {
	Key    string            `json:"key"` // PEM
	Made   time.Time         `json:"made"`
	Orders map[string]string `json:"orders,omitempty"` // by authority
}

// pending is the record of one name. An attempt owns it.
type pending struct {
	store  Store
	name   string
	record pendingRecord
}

func (p *pending) storeKey() string { return "orders/" + certmagic.StorageKeys.Safe(p.name) }

// open reads what an earlier attempt has left, or makes a key, which is not saved yet
// and fresh. served is the key of
// the certificate in use, nil if none: what was finished is no longer under way.
// A damaged record is given up, as an order that is lost costs one more.
func (p *pending) open(ctx context.Context, served crypto.PublicKey) (key *ecdsa.PrivateKey, fresh bool, err error) {
	ok, err := getJSON(ctx, p.store, p.storeKey(), &p.record)
	if err != nil && !errors.Is(err, errDamaged) {
		return nil, false, err
	}
	if ok {
		key, err = parseKey([]byte(p.record.Key))
		if err == nil && (served == nil || !key.PublicKey.Equal(served)) {
			return key, false, nil
		}
	}
	key, text, err := newKey()
	if err != nil {
		return nil, false, err
	}
	p.record = pendingRecord{Key: string(text), Made: time.Now().UTC()}
	return key, true, nil
}

func (p *pending) save(ctx context.Context) error {
	return putJSON(ctx, p.store, p.storeKey(), p.record)
}

// order is the address of the order at a, "" if there is none.
func (p *pending) order(a *authority) string { return p.record.Orders[a.key] }

// setOrder stores the address of the order at a; "" drops it.
func (p *pending) setOrder(ctx context.Context, a *authority, address string) error {
	if p.record.Orders == nil {
		p.record.Orders = map[string]string{}
	}
	if p.record.Orders[a.key] = address; address == "" {
		delete(p.record.Orders, a.key)
	}
	return p.save(ctx)
}

// finish drops the record.
func (p *pending) finish(ctx context.Context) error { return p.store.Delete(ctx, p.storeKey()) }

// spki is the public key as evidence and histories name it.
func spki(pub crypto.PublicKey) ([]byte, error) { return x509.MarshalPKIXPublicKey(pub) }
