package rpc

import (
	"context"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"sallyport/internal/certfile"
	"sallyport/internal/ciphers"
	"sallyport/internal/follow"
)

// The server's certificate, its key, and the authority whose certificates it
// believes: loaded from one of two sources, checked, and swapped as a whole. A
// handshake takes what is there when it begins; connections that are up stay.

// IdentityOptions says where a certificate comes from: Files or Agent, not both.
type IdentityOptions struct {
	Files Files
	Agent Agent
	// OnAuthorities is called with the roots that clients' certificates must lead to: the first
	// ones, and again with every change. It must not block. It may be nil.
	OnAuthorities func(roots []*x509.Certificate)
	// Log receives what Run does and warnings about files. Nil discards it.
	Log *slog.Logger
}

// Identity is the certificate that the server shows and the authorities that it accepts. Its methods may be
// called concurrently; Run only once.
type Identity struct {
	source  keySource
	notify  func(roots []*x509.Certificate)
	log     *slog.Logger
	current atomic.Pointer[keys]

	// loading lets one load work at a time, so that an older reading never
	// replaces a newer one. No handshake takes it.
	loading sync.Mutex
}

// keySource is one of the two. Neither method is called concurrently.
type keySource interface {
	load(ctx context.Context) (material, error)
	// wait is how long to leave the certificate alone; failures counts the loads
	// that failed since the last good one.
	wait(leaf *x509.Certificate, now time.Time, failures int) time.Duration
}

// material is PEM as it was read.
type material struct {
	cert, key, ca []byte
	caFile        string // "": ca is not from a file
}

// keys is material that was found good. It is never changed.
type keys struct {
	sum    follow.Sum // of the material
	leaf   *x509.Certificate
	roots  authorities // guests' certificates lead to one of them
	config *tls.Config
}

// OpenIdentity loads and checks the certificate. The error says what is wrong
// with it and what to provide instead.
func OpenIdentity(ctx context.Context, o IdentityOptions) (*Identity, error) {
	id := &Identity{log: o.Log, notify: o.OnAuthorities}
	setDefault(&id.log, slog.New(slog.DiscardHandler))
	switch {
	case o.Agent.Socket != "" && o.Files != (Files{}):
		return nil, errors.New("rpc: the certificate has two sources: want files or the guest agent")
	case o.Agent.Socket != "":
		id.source = newAgentSource(o.Agent)
	default:
		id.source = fileSource{o.Files}
	}
	if _, err := id.Reload(ctx); err != nil {
		return nil, err
	}
	return id, nil
}

// Reload loads the certificate again and swaps it in if it is new and valid. If it is
// not valid, the previous one stays in place and the error says why.
func (id *Identity) Reload(ctx context.Context) (changed bool, err error) {
	id.loading.Lock()
	defer id.loading.Unlock()
	m, err := id.source.load(ctx)
	if err != nil {
		return false, fmt.Errorf("rpc certificate: %w", err)
	}
	old := id.current.Load()
	if old != nil && old.sum == m.sum() {
		return false, nil
	}
	k, warnings, err := checkKeys(m, time.Now())
	if err != nil {
		return false, fmt.Errorf("rpc certificate: %w", err)
	}
	id.current.Store(k)
	if id.notify != nil {
		id.notify(k.roots.list)
	}
	for _, w := range warnings {
		id.log.Warn("rpc certificate has a problem", "problem", w)
	}
	return true, nil
}

// Run keeps the certificate fresh until ctx ends, and returns nil then. Problems
// are logged, each once.
func (id *Identity) Run(ctx context.Context) error {
	failures := 0
	var problem follow.Problem
	for {
		timer := time.NewTimer(id.source.wait(id.Leaf(), time.Now(), failures))
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		}
		changed, err := id.Reload(ctx)
		if changed {
			id.log.Info("rpc certificate replaced", "not_after", id.Leaf().NotAfter, "serial", id.Leaf().SerialNumber.Text(16))
		}
		if ctx.Err() != nil {
			return nil
		}
		failures++
		if err == nil {
			failures = 0
		}
		if problem.IsNew(err) {
			id.log.Warn("rpc certificate not replaced; the previous one stays in use", "not_after", id.Leaf().NotAfter, "error", err)
		}
	}
}

// Leaf is the certificate that is served now.
func (id *Identity) Leaf() *x509.Certificate { return id.current.Load().leaf }

// Roots are the authorities that are believed now. They must not be changed.
func (id *Identity) Roots() *x509.CertPool { return id.current.Load().roots.pool }

// Ready is nil while the certificate is valid.
func (id *Identity) Ready() error {
	return wrap("rpc certificate", certfile.CheckTime(id.Leaf(), time.Now()))
}

// serverConfig takes the newest keys for each handshake.
func (id *Identity) serverConfig() *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		NextProtos:         id.current.Load().config.NextProtos,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return id.current.Load().config, nil },
	}
}

func (m material) sum() follow.Sum { return follow.SumOf(m.cert, m.key, m.ca) }

// checkKeys makes keys of material, or says what is wrong. Warnings are what
// guests will not like, or others should not read.
func checkKeys(m material, now time.Time) (*keys, []string, error) {
	pair, err := tls.X509KeyPair(m.cert, m.key)
	if err != nil {
		return nil, nil, err
	}
	leaf := pair.Leaf
	if err := certfile.CheckTime(leaf, now); err != nil {
		return nil, nil, err
	}
	if k, ok := leaf.PublicKey.(*rsa.PublicKey); ok && k.N.BitLen() > certfile.MaxRSABits {
		return nil, nil, fmt.Errorf("has an RSA key with %d bits: want at most %d", k.N.BitLen(), certfile.MaxRSABits)
	}
	if leaf.IsCA {
		return nil, nil, errors.New("is a CA certificate: guests refuse it as a server certificate")
	}
	roots, err := parseAuthorities(m.ca)
	if err != nil {
		return nil, nil, wrap(strings.TrimSpace("client CA "+m.caFile), err)
	}
	var warnings []string
	if err := checkChain(pair, roots.pool, now); err != nil {
		warnings = append(warnings, "guests will refuse it, because they trust only the client CA: "+err.Error())
	}
	return &keys{sum: m.sum(), leaf: leaf, roots: roots, config: newConfig(pair, roots.pool)}, warnings, nil
}

// newConfig asks each client for a certificate, and lets it come without one.
// One that is offered must lead to roots, through any of the authorities that it
// brings: those of dstack all have one name. crypto/tls checks that the leaf is
// for clients if it says what it is for.
//
// There are no session tickets: guests make a new client for each call, so they
// would only let a session outlive a change of roots.
func newConfig(pair tls.Certificate, roots *x509.CertPool) *tls.Config {
	return &tls.Config{
		MinVersion:             tls.VersionTLS12,
		CipherSuites:           ciphers.Intermediate(),
		CurvePreferences:       ciphers.Curves(),
		NextProtos:             []string{"h2", "http/1.1"},
		Certificates:           []tls.Certificate{pair},
		ClientAuth:             tls.VerifyClientCertIfGiven,
		ClientCAs:              roots,
		SessionTicketsDisabled: true,
	}
}
