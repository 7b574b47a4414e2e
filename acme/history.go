package acme

import (
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"sallyport/internal/oneline"
)

// The keys that a domain's certificates have had, with the evidence where each was
// made. A client compares them with what certificate transparency logs show, so a key
// is recorded before its order: no certificate is ever public whose key is not here.

// maxHistory bounds the keys of a domain. At two names and a week per certificate
// it is half a year; older ones are in no valid certificate.
const maxHistory = 64

// keyRecord is one key of a domain.
type keyRecord struct {
	Name      string    `json:"name"`
	SPKI      []byte    `json:"spki"` // DER
	Made      time.Time `json:"made"`
	NotBefore time.Time `json:"not_before,omitzero"` // of its certificate, once there is one
	NotAfter  time.Time `json:"not_after,omitzero"`
	Evidence  Evidence  `json:"evidence"`
}

func historyPrefix(domain string) string { return "keys/" + domain + "/" }

// key orders a domain's records by age. One key has one record.
func (r keyRecord) key(domain string) string {
	sum := sha256.Sum256(r.SPKI)
	return historyPrefix(domain) + r.Made.UTC().Format("20060102t150405") + "-" + hex.EncodeToString(sum[:8])
}

// history reads the keys of domain, oldest first. Damaged ones are the error.
func (m *Manager) history(ctx context.Context, domain string) ([]keyRecord, error) {
	pairs, err := m.opts.Store.List(ctx, historyPrefix(domain))
	if err != nil {
		return nil, fmt.Errorf("history of %s: %w", domain, err)
	}
	list := make([]keyRecord, 0, len(pairs))
	var problems []error
	for key, value := range pairs {
		var r keyRecord
		if err := decode(key, value, &r); err != nil {
			problems = append(problems, err)
			continue
		}
		list = append(list, r)
	}
	slices.SortFunc(list, func(a, b keyRecord) int {
		return cmp.Or(a.Made.Compare(b.Made), slices.Compare(a.SPKI, b.SPKI))
	})
	return list, oneline.Join(problems...)
}

// recordKey puts a new key into the history of domain, with its evidence.
func (m *Manager) recordKey(ctx context.Context, domain, name string, key *ecdsa.PrivateKey) error {
	der, err := spki(&key.PublicKey)
	if err != nil {
		return err
	}
	r := keyRecord{Name: name, SPKI: der, Made: time.Now().UTC()}
	r.Evidence, err = m.attest(ctx, SubjectCertificateKey, der)
	if err != nil { // tried again by complete: a certificate without evidence is better than none
		m.opts.Log.Warn("key has no evidence: check the quote source", "name", name, "error", err)
	}
	if err := putJSON(ctx, m.opts.Store, r.key(domain), r); err != nil {
		return err
	}
	return m.showKeys(ctx, domain)
}

// keyView are the keys of a domain as Info returns them, and which reading of the store they
// are from.
type keyView struct {
	list    []keyRecord
	reading uint64
}

// showKeys makes Info return the keys that the store has. It is called before an order of a
// new key and before a certificate is served: so a reader that sees either finds the key. Readings
// overlap, and the one that began last counts.
func (m *Manager) showKeys(ctx context.Context, domain string) error {
	m.mu.Lock()
	m.readings++
	reading := m.readings
	m.mu.Unlock()
	list, err := m.history(ctx, domain)
	m.mu.Lock()
	defer m.mu.Unlock()
	if (len(list) > 0 || err == nil) && reading > m.keys[domain].reading {
		m.keys[domain] = keyView{list, reading}
	}
	return err
}

// complete adds to the records of domain what its certificate c shows, and drops the
// oldest. c may be nil.
func (m *Manager) complete(ctx context.Context, domain string, c *certificate) error {
	list, err := m.history(ctx, domain)
	problems := []error{err}
	if c != nil {
		der := c.leaf().RawSubjectPublicKeyInfo
		i := slices.IndexFunc(list, func(r keyRecord) bool { return slices.Equal(r.SPKI, der) })
		if i < 0 { // the history was lost
			list = append(list, keyRecord{Name: c.leaf().DNSNames[0], SPKI: der, Made: c.leaf().NotBefore})
			i = len(list) - 1
		}
		problems = append(problems, m.completeKey(ctx, domain, &list[i], c))
	}
	for len(list) > maxHistory {
		problems = append(problems, m.opts.Store.Delete(ctx, list[0].key(domain)))
		list = list[1:]
	}
	return oneline.Join(problems...)
}

func (m *Manager) completeKey(ctx context.Context, domain string, r *keyRecord, c *certificate) error {
	before := *r
	r.NotBefore, r.NotAfter = c.leaf().NotBefore, c.leaf().NotAfter
	var problem error
	if r.Evidence == (Evidence{}) {
		r.Evidence, problem = m.attest(ctx, SubjectCertificateKey, r.SPKI)
	}
	if before.Evidence == r.Evidence && before.NotAfter.Equal(r.NotAfter) && before.NotBefore.Equal(r.NotBefore) {
		return problem
	}
	return oneline.Join(problem, putJSON(ctx, m.opts.Store, r.key(domain), *r))
}

// attest asks for evidence, if there is somebody to ask.
func (m *Manager) attest(ctx context.Context, kind string, data []byte) (Evidence, error) {
	if m.opts.Attest == nil {
		return Evidence{}, nil
	}
	e, err := m.opts.Attest(ctx, Subject{Kind: kind, Data: data})
	if err != nil {
		return Evidence{}, fmt.Errorf("evidence of %s: %w", kind, err)
	}
	return e, nil
}
