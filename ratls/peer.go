package ratls

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"
)

// A Peer describes the required other end of a connection. The zero value is any CVM whose
// system the verifier's policy names.
//
// The ids are claims of the system in the CVM: another system can measure the ids of a
// victim. So the system must be known: the policy's Measurements name it (see
// [Verdict.SystemKnown]), or Roots issued the certificate. A peer for which neither is true
// is refused with [ErrUnknownSystem], unless AnySystem is set.
type Peer struct {
	App      AppID      // zero: any
	Instance InstanceID // zero: any instance of the app
	// Roots, if not nil, must have issued the certificate, in addition to all else. They
	// are the roots of KMSes, which appraise CVMs by rules of their own before they
	// sign. The issuer must be the KMS's authority for the app that the evidence proves.
	Roots *x509.CertPool
	// AnySystem, without Roots, accepts any system on genuine hardware, and with it any
	// app id, instance id and compose hash. It is for callers that know the system by
	// other means.
	AnySystem bool
}

// ErrUnknownSystem refuses a peer with genuine evidence because nothing that was checked
// determines the system in it, and the system names the app.
var ErrUnknownSystem = errors.New("its system is not known: add its measurements to the policy, or require a root that issued its certificate; without either, app and instance are only its claims")

// judgeTimeout bounds an appraisal during a handshake. It may have to fetch collateral, once
// for each kind of platform.
const judgeTimeout = 30 * time.Second

const (
	dialTimeout = 10 * time.Second
	maxChain    = 8 // certificates; a KMS's are leaf, app CA and root
)

// ClientConfig returns a configuration for connections to CVMs. It accepts only the
// certificate of an attested peer. Host names do not matter: the evidence determines the
// identity of the peer. The caller may change the configuration before use.
func (v *Verifier) ClientConfig(want Peer) *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS13,
		InsecureSkipVerify: true, // what is verified instead is more: see VerifyConnection
		VerifyConnection:   v.VerifyConnection(want),
	}
}

// VerifyConnection returns a function for [tls.Config.VerifyConnection], which is called in
// every handshake, including resumed ones. A client must also set InsecureSkipVerify, and a
// server must set ClientAuth to [tls.RequireAnyClientCert]. On a server the function runs
// before the client has proven that it holds the key: its result counts only after the
// handshake.
//
// The function may wait for collateral, for up to 30 seconds. It may be called concurrently.
func (v *Verifier) VerifyConnection(want Peer) func(tls.ConnectionState) error {
	return func(state tls.ConnectionState) error {
		ctx, cancel := context.WithTimeout(context.Background(), judgeTimeout)
		defer cancel()
		_, err := v.AppraisePeer(ctx, state.PeerCertificates, want)
		return err
	}
}

// VerifyPeerCertificate returns a function for [tls.Config.VerifyPeerCertificate]. It is not
// called when a session is resumed: then policy and collateral are those of the session's
// first handshake. A server without RequireAnyClientCert does not call it for a client
// without a certificate. Prefer VerifyConnection.
func (v *Verifier) VerifyPeerCertificate(want Peer) func([][]byte, [][]*x509.Certificate) error {
	return func(raw [][]byte, _ [][]*x509.Certificate) error {
		if len(raw) > maxChain {
			return fmt.Errorf("attested peer: %w", errLongChain)
		}
		chain := make([]*x509.Certificate, len(raw))
		for i, der := range raw {
			var err error
			if chain[i], err = x509.ParseCertificate(der); err != nil {
				return fmt.Errorf("attested peer: %w", err)
			}
		}
		ctx, cancel := context.WithTimeout(context.Background(), judgeTimeout)
		defer cancel()
		_, err := v.AppraisePeer(ctx, chain, want)
		return err
	}
}

// HTTPClient returns a client that connects only to attested peers, by HTTPS. It refuses
// plain HTTP and ignores proxies of the environment, and the target of a redirection must be
// such a peer too. Each connection is appraised once, before its first request is sent. The
// client keeps connections: after a change of policy, call its CloseIdleConnections. It has
// no Timeout: use the contexts of requests. It may be used concurrently.
func (v *Verifier) HTTPClient(want Peer) *http.Client {
	return &http.Client{Transport: httpsOnly{&http.Transport{
		DialContext:         (&net.Dialer{Timeout: dialTimeout}).DialContext,
		TLSClientConfig:     v.ClientConfig(want),
		ForceAttemptHTTP2:   true,
		TLSHandshakeTimeout: judgeTimeout + 10*time.Second,
		IdleConnTimeout:     90 * time.Second,
	}}}
}

type httpsOnly struct{ *http.Transport }

func (t httpsOnly) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme != "https" {
		if r.Body != nil {
			r.Body.Close()
		}
		return nil, fmt.Errorf("attested peer: %s://%s is not attested: want https", r.URL.Scheme, r.URL.Host)
	}
	return t.Transport.RoundTrip(r)
}

// AppraisePeer appraises the certificates of a peer, leaf first. It checks their dates, their
// issuer if want has Roots, the leaf's evidence (see [Verifier.Appraise]), that the system is
// known (see [Peer]), and that the app and the instance are those of want and of the
// certificate. The handshake, not AppraisePeer, proves that the peer holds the leaf's key.
// The error wraps [ErrNoAttestation] if the leaf has no evidence, and the error of Appraise if
// that refuses it.
func (v *Verifier) AppraisePeer(ctx context.Context, chain []*x509.Certificate, want Peer) (*Verdict, error) {
	verdict, err := v.appraisePeer(ctx, chain, want, v.Appraise)
	if err != nil {
		return nil, fmt.Errorf("attested peer: %w", err)
	}
	return verdict, nil
}

// RecheckPeer checks certificates that AppraisePeer accepted before, by the rules that need
// no collateral, which may be unavailable: dates, issuer, the binding of the key, the event
// log, the ids, and the policy without Statuses and Advisories. An error refuses them as
// AppraisePeer would. The nil error alone is not an acceptance: RecheckPeer does not check
// the signatures of the evidence.
func (v *Verifier) RecheckPeer(chain []*x509.Certificate, want Peer) error {
	if _, err := v.appraisePeer(context.Background(), chain, want, v.recheck); err != nil {
		return fmt.Errorf("attested peer: %w", err)
	}
	return nil
}

// appraisePeer appraises a peer. judge appraises the evidence in the leaf.
func (v *Verifier) appraisePeer(ctx context.Context, chain []*x509.Certificate, want Peer, judge func(context.Context, Evidence) (*Verdict, error)) (*Verdict, error) {
	switch {
	case len(chain) == 0:
		return nil, errors.New("has no certificate")
	case len(chain) > maxChain:
		return nil, errLongChain
	}
	leaf, now := chain[0], v.now()
	if now.Before(leaf.NotBefore) || now.After(leaf.NotAfter) {
		return nil, fmt.Errorf("certificate is valid from %s to %s only", leaf.NotBefore.Format(time.RFC3339), leaf.NotAfter.Format(time.RFC3339))
	}
	if len(leaf.UnhandledCriticalExtensions) > 0 { // RFC 5280, 4.2
		return nil, fmt.Errorf("certificate has an unknown critical extension %s", leaf.UnhandledCriticalExtensions[0])
	}
	issuers, err := want.issuers(chain, now)
	if err != nil {
		return nil, err
	}
	ext, err := ParseExtensions(leaf.Extensions)
	if err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	evidence, ok := ext.evidence(leaf)
	if !ok {
		return nil, ErrNoAttestation
	}
	verdict, err := judge(ctx, evidence)
	if err != nil {
		return nil, err
	}
	if want.Roots != nil {
		err = checkIssuers(issuers, verdict.AppInfo.AppID)
	} else if !want.AnySystem && !verdict.SystemKnown {
		err = ErrUnknownSystem
	}
	if err != nil {
		return nil, err
	}
	return verdict, want.check(ext, &verdict.AppInfo)
}

var errLongChain = fmt.Errorf("shows more than %d certificates", maxChain)

// issuers returns the authorities that issued the leaf of chain below the peer's roots, none
// if the peer has no roots.
func (p Peer) issuers(chain []*x509.Certificate, now time.Time) ([]*x509.Certificate, error) {
	if p.Roots == nil {
		return nil, nil
	}
	between := x509.NewCertPool()
	for _, c := range chain[1:] {
		between.AddCert(c)
	}
	chains, err := chain[0].Verify(x509.VerifyOptions{
		Roots: p.Roots, Intermediates: between, CurrentTime: now,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	var issuers []*x509.Certificate
	for _, c := range chains {
		if len(c) > 1 {
			issuers = append(issuers, c[1])
		}
	}
	return issuers, err
}

// checkIssuers checks that one of the issuers is the authority of the proven app. A KMS has
// one for each app: that of another app did not appraise this CVM.
func checkIssuers(issuers []*x509.Certificate, proven AppID) error {
	err := errors.New("certificate is itself a root: want one that a root's authority issued")
	for _, c := range issuers {
		if err = checkIssuer(c, proven); err == nil {
			return nil
		}
	}
	return err
}

// check compares what was proven with p, and with the ids in the certificate.
func (p Peer) check(ext Extensions, proven *AppInfo) error {
	switch {
	case !p.App.IsZero() && proven.AppID != p.App:
		return fmt.Errorf("is app %s, want %s", proven.AppID, p.App)
	case !p.Instance.IsZero() && proven.InstanceID != p.Instance:
		return fmt.Errorf("is instance %s, want %s", proven.InstanceID, p.Instance)
	case !ext.AppID.IsZero() && ext.AppID != proven.AppID:
		return fmt.Errorf("certificate is of app %s, its evidence of %s", ext.AppID, proven.AppID)
	case ext.AppInfo != nil:
		return ext.AppInfo.agreesWith(proven)
	}
	return nil
}
