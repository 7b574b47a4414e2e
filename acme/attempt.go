package acme

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/mholt/acmez/v3/acme"
	"go.uber.org/zap"

	"sallyport/internal/oneline"
)

// One try at one name, through certmagic: it takes the name's lock, asks for a key,
// makes the request, asks the authorities in turn until one issues, and stores what
// was issued. What it asks is answered here: the key is the one that is under way,
// and an authority is an order that is taken up where it stands.
//
// certmagic's own issuer is not used: it stores an account after the authority has
// made it, and cannot take up an order. Its cache and its maintenance are not used
// either; the worker is both.

// attempt is one try.
type attempt struct {
	m       *Manager
	domain  string
	name    string
	served  *certificate // in use, nil if none
	pending *pending
	ctx     context.Context              //nolint:containedctx // certmagic's KeyGenerator has no parameter for it
	failed  []error                      // of each authority that was asked
	ended   func(context.Context, error) // called with each order that failed for good
}

// errRenewed ends an attempt that another gateway has been faster with.
var errRenewed = errors.New("another gateway has renewed it")

// obtain makes one try, and returns the certificate that is stored then. If it is the
// one in use, the stored one was not replaced by another. ended is called with each order that
// the authority has ended, before it is forgotten.
func (m *Manager) obtain(ctx context.Context, domain, name string, served *certificate, ended func(context.Context, error)) (*certificate, error) {
	ctx, cancel := context.WithTimeout(ctx, m.opts.Timeout)
	defer cancel()
	ctx, lost := context.WithCancelCause(ctx)
	defer lost(nil)
	a := &attempt{
		m: m, domain: domain, name: name, served: served, ctx: ctx, ended: ended,
		pending: &pending{store: m.opts.Store, name: name},
	}
	if err := a.run(newStorage(m.opts.Store, m.leases, lost)); err != nil {
		if cause := context.Cause(ctx); cause != nil {
			return nil, oneline.Join(cause, err)
		}
		return nil, err
	}
	stored, err := m.load(ctx, name)
	if stored == nil {
		return nil, fmt.Errorf("certificate of %s was issued but is not in the store: %w", name, oneline.Join(err, errDamaged))
	}
	for _, err := range a.failed {
		m.opts.Log.Warn("a certificate authority failed, another one issued", "name", name, "issued_by", stored.from, "error", err)
	}
	return stored, a.pending.finish(ctx)
}

func (a *attempt) run(s *storage) error {
	cfg := certmagic.New(a.m.cache, certmagic.Config{
		Storage:             s,
		KeySource:           a,
		DisableARI:          true, // it is ours
		DisableStorageCheck: true, // two writes of 10 KiB for each try
		OCSP:                certmagic.OCSPConfig{DisableStapling: true},
		OnEvent:             a.event,
		Issuers:             a.issuers(),
		Logger:              a.m.zap,
	})
	err := cfg.ObtainCertSync(a.ctx, a.name)
	switch {
	case errors.Is(err, errRenewed):
		return nil
	case err != nil && len(a.failed) > 0:
		return a.failure()
	case err != nil:
		return err
	}
	return nil
}

// failure joins the errors of the authorities; unordered only if none of them was asked.
func (a *attempt) failure() error {
	err := oneline.Join(a.failed...)
	for _, e := range a.failed {
		if !errors.Is(e, errPreflight) {
			return err
		}
	}
	return unordered{err}
}

func (a *attempt) issuers() (list []certmagic.Issuer) {
	for _, at := range a.m.authorities {
		list = append(list, issuer{a, at})
	}
	return list
}

// event is called with the lock held, before a key is made: another gateway may have
// renewed while this one waited for it.
func (a *attempt) event(ctx context.Context, event string, _ map[string]any) error {
	if event != "cert_obtaining" {
		return nil
	}
	stored, _ := a.m.load(ctx, a.name) // what is damaged is replaced now
	if stored != nil && stored.at != nil && !stored.same(a.served) && time.Now().Before(renewAt(stored.leaf(), a.m.opts.RenewBefore, suggestion{})) {
		return errRenewed
	}
	return nil
}

// GenerateKey implements certmagic.KeyGenerator.
func (a *attempt) GenerateKey() (crypto.PrivateKey, error) {
	var served crypto.PublicKey
	if a.served != nil {
		served = a.served.leaf().PublicKey
	}
	key, fresh, err := a.pending.open(a.ctx, served)
	if err != nil {
		return nil, err
	}
	if !fresh {
		return key, nil
	}
	if err := a.m.recordKey(a.ctx, a.domain, a.name, key); err != nil {
		return nil, err
	}
	return key, a.pending.save(a.ctx)
}

// issuer is one authority, as certmagic asks it in an attempt.
type issuer struct {
	attempt *attempt
	at      *authority
}

var (
	_ certmagic.Issuer       = issuer{}
	_ certmagic.KeyGenerator = (*attempt)(nil)
)

// IssuerKey implements certmagic.Issuer.
func (i issuer) IssuerKey() string { return i.at.key }

// Issue implements certmagic.Issuer.
func (i issuer) Issue(ctx context.Context, csr *x509.CertificateRequest) (*certmagic.IssuedCertificate, error) {
	o := &order{m: i.attempt.m, at: i.at, pending: i.attempt.pending, name: i.attempt.name, csr: csr, ended: i.attempt.ended}
	if s := i.attempt.served; s != nil && s.at == i.at { // another authority does not know it
		o.replaces = s.leaf()
	}
	issued, err := o.run(ctx)
	if err != nil {
		i.attempt.failed = append(i.attempt.failed, err)
		return nil, err
	}
	return &certmagic.IssuedCertificate{Certificate: issued.ChainPEM, Metadata: acme.Certificate{
		URL: issued.URL, CA: issued.CA, Account: issued.Account,
	}}, nil
}

// newCache makes the cache that certmagic.New demands; nothing is ever put into it.
func newCache(log *zap.Logger) *certmagic.Cache {
	return certmagic.NewCache(certmagic.CacheOptions{
		GetConfigForCert: func(certmagic.Certificate) (*certmagic.Config, error) {
			return nil, errors.New("certificates are not served by certmagic")
		},
		Logger: log,
	})
}
