package acme

import (
	"context"
	"crypto/tls"
	"errors"
	"strings"
	"sync"

	"github.com/mholt/acmez/v3"
	"github.com/mholt/acmez/v3/acme"

	"sallyport/internal/ciphers"
)

// ALPNChallenges answers tls-alpn-01 (RFC 8737): it holds the certificate that proves
// control of a name while its validation is under way. The side that terminates TLS
// asks it for each hello that offers acme-tls/1 and no other protocol, for names
// that the gateway terminates: with a certificate the handshake is made with
// ALPNConfig, without one it is refused, and for other names, passed through, the
// hello belongs to the instance. The zero value works. All methods may be called
// concurrently.
type ALPNChallenges struct {
	mu    sync.Mutex // guards certs
	certs map[string]*tls.Certificate
}

var _ acmez.Solver = (*ALPNChallenges)(nil)

// ALPNProtocol is what a validation offers in its hello, alone.
const ALPNProtocol = acmez.ACMETLS1Protocol

var errTooManyChallenges = errors.New("too many tls-alpn-01 challenges are under way")

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
	if len(a.certs) >= maxChallenges {
		return errTooManyChallenges
	}
	if a.certs == nil {
		a.certs = map[string]*tls.Certificate{}
	}
	a.certs[strings.ToLower(c.Identifier.Value)] = cert
	return nil
}

// CleanUp implements acmez.Solver.
func (a *ALPNChallenges) CleanUp(_ context.Context, c acme.Challenge) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.certs, strings.ToLower(c.Identifier.Value))
	return nil
}

// Certificate returns the challenge certificate of a server name; false if none is
// under way. It must not be changed.
func (a *ALPNChallenges) Certificate(name string) (*tls.Certificate, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	cert, ok := a.certs[strings.ToLower(name)]
	return cert, ok
}

// ALPNConfig terminates a validation with its certificate: it offers acme-tls/1 and
// nothing else, so that no other client gets to see it.
func ALPNConfig(cert *tls.Certificate) *tls.Config {
	return &tls.Config{
		Certificates:           []tls.Certificate{*cert},
		NextProtos:             []string{ALPNProtocol},
		MinVersion:             tls.VersionTLS12,
		CipherSuites:           ciphers.Intermediate(),
		CurvePreferences:       ciphers.Curves(),
		SessionTicketsDisabled: true,
	}
}
