package acme

import (
	"cmp"
	"context"
	"slices"
	"time"

	"sallyport/internal/oneline"
)

// The state of the workers for others: each publishes its view after every step.

// view is a worker's, as of its last step.
type view struct {
	domain string
	served *certificate
	state  nameState
	due    time.Time
}

// Status is how it stands with one name.
type Status struct {
	Domain string `json:"domain"`
	Name   string `json:"name"`
	// Issuer is the directory that the certificate came from; it and the next three
	// are empty if there is none.
	Issuer    string    `json:"issuer,omitempty"`
	Serial    string    `json:"serial,omitempty"` // hexadecimal
	NotBefore time.Time `json:"not_before,omitzero"`
	NotAfter  time.Time `json:"not_after,omitzero"`
	// NextTry is when a certificate is obtained next.
	NextTry time.Time `json:"next_try,omitzero"`
	// LastError is why the last try failed, at FailedAt; "" after a success.
	LastError string    `json:"last_error,omitempty"`
	FailedAt  time.Time `json:"failed_at,omitzero"`
	Failures  int       `json:"failures,omitempty"` // in a row
}

// Status returns the state of every name, by domain and name.
func (m *Manager) Status() []Status {
	m.mu.Lock()
	defer m.mu.Unlock()
	list := make([]Status, 0, len(m.names))
	for name, v := range m.names {
		s := Status{Domain: v.domain, Name: name, NextTry: v.due, LastError: v.state.LastError, FailedAt: v.state.FailedAt, Failures: v.state.Failures}
		if v.served != nil {
			leaf := v.served.leaf()
			s.Issuer, s.Serial = v.served.from, leaf.SerialNumber.Text(16)
			s.NotBefore, s.NotAfter = leaf.NotBefore, leaf.NotAfter
		}
		list = append(list, s)
	}
	slices.SortFunc(list, func(a, b Status) int { return cmp.Or(cmp.Compare(a.Domain, b.Domain), cmp.Compare(a.Name, b.Name)) })
	return list
}

// Info is published for one domain (AcmeInfo, /.dstack/acme-info).
type Info struct {
	BaseDomain         string      `json:"base_domain"`
	AccountURI         string      `json:"account_uri"` // of the authority that issued ActiveCert
	AccountQuote       string      `json:"account_quote"`
	AccountAttestation string      `json:"account_attestation"`
	ActiveCert         string      `json:"active_cert"` // PEM chain of the wildcard, or of the apex
	HistKeys           [][]byte    `json:"-"`           // SPKI in DER, oldest first
	QuotedHistKeys     []QuotedKey `json:"-"`           // the same keys, with evidence where there is some
}

// QuotedKey is one key of a certificate.
type QuotedKey struct {
	PublicKey   []byte // SPKI in DER
	NotBefore   time.Time
	NotAfter    time.Time // zero if no certificate is known
	Quote       string    // "" without evidence
	Attestation string
}

// Info returns the Info of a domain; false if it is not kept. It reads memory alone.
func (m *Manager) Info(domain string) (Info, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	i := slices.IndexFunc(m.domains, func(d Domain) bool { return d.Name == domain })
	if i < 0 {
		return Info{}, false
	}
	info := Info{BaseDomain: domain}
	at := m.authorities[0]
	if v := m.names[m.domains[i].names()[0]]; v.served != nil {
		info.ActiveCert = v.served.chain
		if v.served.at != nil {
			at = v.served.at
		}
	}
	account := m.accounts[at.key]
	info.AccountURI, info.AccountQuote, info.AccountAttestation = account.URI, account.Evidence.Quote, account.Evidence.Attestation
	for _, k := range m.keys[domain].list {
		info.HistKeys = append(info.HistKeys, k.SPKI)
		info.QuotedHistKeys = append(info.QuotedHistKeys, QuotedKey{k.SPKI, k.NotBefore, k.NotAfter, k.Evidence.Quote, k.Evidence.Attestation})
	}
	return info, true
}

// publish shows what the worker has come to, and completes the domain's history.
func (w *worker) publish(ctx context.Context) {
	m := w.m
	m.mu.Lock()
	m.names[w.name] = view{domain: w.domain, served: w.served, state: w.state, due: w.due(time.Now())}
	m.mu.Unlock()

	// One worker at a time: an older reading must not hide a newer one, nor a thing
	// be attested twice.
	const turn = "evidence"
	if m.leases.enter(ctx, turn) != nil {
		return
	}
	defer m.leases.leave(turn)
	err := oneline.Join(m.complete(ctx, w.domain, w.served), m.showKeys(ctx, w.domain))
	if w.served != nil && w.served.at != nil {
		err = oneline.Join(err, m.completeAccount(ctx, w.served.at))
	}
	if err != nil && ctx.Err() == nil {
		m.opts.Log.Warn("history of keys is not complete", "domain", w.domain, "error", err)
	}
}

// completeAccount reads the account at a, and asks for its evidence if it has none.
func (m *Manager) completeAccount(ctx context.Context, a *authority) error {
	r, err := m.loadAccount(ctx, a)
	if err != nil || r.URI == "" || r.Evidence != (Evidence{}) || m.opts.Attest == nil {
		return err
	}
	if r.Evidence, err = m.attest(ctx, SubjectAccount, []byte(r.URI)); err != nil {
		return err
	}
	now, err := m.loadAccount(ctx, a)
	if err != nil || now.URI != r.URI {
		return err // another account by now
	}
	m.setAccount(a, r)
	return putJSON(ctx, m.opts.Store, accountKey(a), r)
}

func (m *Manager) setAccount(a *authority, r accountRecord) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.accounts[a.key] = r
}

// forget drops the view of a name that is no longer kept.
func (m *Manager) forget(name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.names, name)
}
