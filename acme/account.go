package acme

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"

	"github.com/mholt/acmez/v3/acme"
)

// The account at an authority. Its key is stored before the authority hears of it,
// and an authority answers a second newAccount of one key with the same account
// (RFC 8555, 7.3): a kill at any point does not make a second one.

// accountRecord is an account as it is stored.
type accountRecord struct {
	Key      string   `json:"key"`           // PEM
	URI      string   `json:"uri,omitempty"` // "" until the authority has answered
	Contact  []string `json:"contact,omitempty"`
	Evidence Evidence `json:"evidence"` // of the URI
}

func accountKey(a *authority) string { return "accounts/" + a.key }

// account returns the account at a, and makes it if there is none.
func (m *Manager) account(ctx context.Context, a *authority) (acme.Account, error) {
	r, err := m.loadAccount(ctx, a)
	if err != nil {
		return acme.Account{}, err
	}
	if r.URI != "" && slices.Equal(r.Contact, m.contact()) {
		return r.account()
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	release, err := m.leases.hold(ctx, lockKey("account_"+a.key), cancel)
	if err != nil {
		return acme.Account{}, err
	}
	defer m.unlock(ctx, release)
	if r, err = m.loadAccount(ctx, a); err != nil { // another may have been faster
		return acme.Account{}, err
	}
	return m.register(ctx, a, r)
}

// register makes or updates the account at a. The caller holds its lock.
func (m *Manager) register(ctx context.Context, a *authority, r accountRecord) (acme.Account, error) {
	if r.Key == "" {
		_, text, err := newKey()
		if err != nil {
			return acme.Account{}, err
		}
		r.Key = string(text)
		if err := putJSON(ctx, m.opts.Store, accountKey(a), r); err != nil {
			return acme.Account{}, err
		}
	}
	account, err := r.account()
	if err != nil {
		return account, err
	}
	if r.URI == "" || !slices.Equal(r.Contact, m.contact()) {
		account.Contact, account.TermsOfServiceAgreed = m.contact(), true
		if account, err = submit(ctx, a, account); err != nil {
			return account, err
		}
		r.URI, r.Contact = account.Location, m.contact()
		if err := putJSON(ctx, m.opts.Store, accountKey(a), r); err != nil {
			return account, err
		}
		m.opts.Log.Info("account registered", "directory", a.Directory, "account", r.URI)
	}
	m.setAccount(a, r)
	return account, nil
}

// submit registers the account with the authority, or sends its changed contacts.
func submit(ctx context.Context, a *authority, account acme.Account) (acme.Account, error) {
	if account.Location != "" {
		updated, err := a.client.UpdateAccount(ctx, account)
		if err != nil {
			return account, fmt.Errorf("update account %s: %w", account.Location, err)
		}
		updated.Location = account.Location // the answer need not have it
		return updated, nil
	}
	if a.EAB.KeyID != "" {
		if err := account.SetExternalAccountBinding(ctx, a.client, acme.EAB{KeyID: a.EAB.KeyID, MACKey: a.EAB.MACKey}); err != nil {
			return account, fmt.Errorf("external account binding at %s: %w", a.Directory, err)
		}
	}
	registered, err := a.client.NewAccount(ctx, account)
	switch {
	case err != nil && a.EAB.KeyID != "":
		return account, fmt.Errorf("register account at %s with external account binding %s: %w", a.Directory, a.EAB.KeyID, err)
	case err != nil:
		return account, fmt.Errorf("register account at %s: %w", a.Directory, err)
	case registered.Location == "":
		return account, fmt.Errorf("register account at %s: the authority sent no account URI", a.Directory)
	}
	return registered, nil
}

// forgetAccount lets the next order register the same key again, after the authority
// has said that it does not know the account: test authorities forget.
func (m *Manager) forgetAccount(ctx context.Context, a *authority) error {
	r, err := m.loadAccount(ctx, a)
	if err != nil {
		return err
	}
	m.opts.Log.Warn("the authority no longer knows the account", "directory", a.Directory, "account", r.URI)
	return putJSON(ctx, m.opts.Store, accountKey(a), accountRecord{Key: r.Key})
}

// loadAccount reads the account at a. One that cannot be read is an error: a new one
// in its place might not be in the CAA records, and the loss would not be noticed.
func (m *Manager) loadAccount(ctx context.Context, a *authority) (r accountRecord, err error) {
	ok, err := getJSON(ctx, m.opts.Store, accountKey(a), &r)
	if ok {
		_, err = r.account()
	}
	if errors.Is(err, errDamaged) {
		return r, fmt.Errorf("ACME account at %s: %w; restore the store from a backup, or delete this key for a new account and change CAA records that name the old one", a.Directory, err)
	}
	if ok && err == nil {
		m.setAccount(a, r)
	}
	return r, err
}

func (m *Manager) contact() []string {
	if m.opts.Email == "" {
		return nil
	}
	return []string{"mailto:" + m.opts.Email}
}

func (r *accountRecord) account() (acme.Account, error) {
	key, err := parseKey([]byte(r.Key))
	if err != nil {
		return acme.Account{}, fmt.Errorf("account key: %w: %w", errDamaged, err)
	}
	a := acme.Account{PrivateKey: key, Location: r.URI, Contact: r.Contact}
	if r.URI != "" {
		a.Status = acme.StatusValid
	}
	return a, nil
}

// newKey makes a P-256 key, also as PEM.
func newKey() (*ecdsa.PrivateKey, []byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, nil, err
	}
	return key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// parseKey reads a P-256 key, of newKey's form or certmagic's.
func parseKey(data []byte) (*ecdsa.PrivateKey, error) {
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, errors.New("is not PEM")
	}
	if block.Type == "EC PRIVATE KEY" {
		return x509.ParseECPrivateKey(block.Bytes)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	ec, ok := key.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("is a %T: want ECDSA", key)
	}
	return ec, nil
}
