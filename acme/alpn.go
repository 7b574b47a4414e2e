package acme

import (
	"context"
	"crypto/tls"
	"errors"
	"maps"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/mholt/acmez/v3"
	"github.com/mholt/acmez/v3/acme"

	"sallyport/internal/ciphers"
	"sallyport/internal/hello"
)

// ALPNChallenges answers tls-alpn-01 (RFC 8737): it holds the certificate that proves
// control of a name while its validation is under way. The side that terminates TLS
// asks it for each hello that offers acme-tls/1 and no other protocol, for names
// that the gateway terminates: with a certificate the handshake is made with
// ALPNConfig, without one it is refused, and for other names, passed through, the
// hello belongs to the instance. The zero value works. All methods may be called
// concurrently.
type ALPNChallenges struct {
	mu    sync.Mutex                                  // held by writers of certs
	certs atomic.Pointer[map[string]*tls.Certificate] // not changed; nil is none
}

var _ acmez.Solver = (*ALPNChallenges)(nil)

var errTooManyChallenges = errors.New("too many tls-alpn-01 challenges are in progress")

// maxChallenges bounds the names under way.
const maxChallenges = 1000

// Present implements acmez.Solver.
func (a *ALPNChallenges) Present(_ context.Context, c acme.Challenge) error {
	cert, err := acmez.TLSALPN01ChallengeCert(c)
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	certs := a.copyLocked()
	if len(certs) >= maxChallenges {
		return errTooManyChallenges
	}
	certs[strings.ToLower(c.Identifier.Value)] = cert
	a.certs.Store(&certs)
	return nil
}

// CleanUp implements acmez.Solver.
func (a *ALPNChallenges) CleanUp(_ context.Context, c acme.Challenge) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	certs := a.copyLocked()
	delete(certs, strings.ToLower(c.Identifier.Value))
	a.certs.Store(&certs)
	return nil
}

func (a *ALPNChallenges) copyLocked() map[string]*tls.Certificate {
	if old := a.certs.Load(); old != nil {
		return maps.Clone(*old)
	}
	return map[string]*tls.Certificate{}
}

// Certificate returns the challenge certificate of a server name; false if none is
// under way. It must not be changed. It takes no lock: an event loop asks.
func (a *ALPNChallenges) Certificate(name string) (*tls.Certificate, bool) {
	certs := a.certs.Load()
	if certs == nil {
		return nil, false
	}
	cert, ok := (*certs)[strings.ToLower(name)]
	return cert, ok
}

// ALPNConfig terminates a validation with its certificate: it offers acme-tls/1 and
// nothing else, so that no other client gets to see it.
func ALPNConfig(cert *tls.Certificate) *tls.Config {
	return &tls.Config{
		Certificates:           []tls.Certificate{*cert},
		NextProtos:             []string{hello.ACMETLS1},
		MinVersion:             tls.VersionTLS12,
		CipherSuites:           ciphers.Intermediate(),
		CurvePreferences:       ciphers.Curves(),
		SessionTicketsDisabled: true,
	}
}
