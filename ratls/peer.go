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

// A Peer says who the other end of a connection must be. The zero value is any
// machine whose system the verifier's policy knows.
//
// The ids are the word of the system in the machine: any other system may measure the ids
// of a victim. So it must be known which one runs there: by the policy's Measurements
// (see [Verdict.SystemKnown]), or because Roots have issued the certificate. A peer of
// which neither is true is refused with [ErrUnknownSystem], unless AnySystem is set.
type Peer struct {
	App      AppID      // zero: any
	Instance InstanceID // zero: any machine of the app
	// Roots, if there are some, must have issued the certificate besides: the root of a
	// KMS, which judges machines by rules of its own before it signs. What issued it
	// must be that KMS's authority for the app that the evidence proves.
	Roots *x509.CertPool
	// AnySystem, without Roots, believes whatever system runs in genuine hardware, and with
	// it any app id, instance id and compose hash. It is for those who have learned
	// otherwise what runs there.
	AnySystem bool
}

// ErrUnknownSystem refuses a peer with genuine evidence because nothing that was checked
// tells which system runs in it, and it is that system that names the app.
var ErrUnknownSystem = errors.New("its system is not known: add its measurements to the policy, or require a root that issued its certificate; without either, app and instance are only its claims")

// judgeTimeout bounds a verdict during a handshake: collateral may have to be
// fetched, once for each kind of platform.
const judgeTimeout = 30 * time.Second

const (
	dialTimeout = 10 * time.Second
	maxChain    = 8 // certificates; a KMS's are leaf, app CA and root
)

// ClientConfig returns a configuration for connections to machines: it accepts the
// certificate of an attested peer and no other. Names play no part: who the peer is
// follows from its evidence. It may be changed before use.
func (v *Verifier) ClientConfig(want Peer) *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS13,
		InsecureSkipVerify: true, // what is verified instead is more: see VerifyConnection
		VerifyConnection:   v.VerifyConnection(want),
	}
}

// VerifyConnection returns a function for [tls.Config.VerifyConnection], which is
// called in every handshake, resumed ones included. A client sets InsecureSkipVerify
// with it, a server ClientAuth to [tls.RequireAnyClientCert]. A server judges before the
// client has proven to hold the key: what the function learns counts once the
// handshake has ended.
func (v *Verifier) VerifyConnection(want Peer) func(tls.ConnectionState) error {
	return func(state tls.ConnectionState) error {
		ctx, cancel := context.WithTimeout(context.Background(), judgeTimeout)
		defer cancel()
		_, err := v.AppraisePeer(ctx, state.PeerCertificates, want)
		return err
	}
}

// VerifyPeerCertificate returns a function for [tls.Config.VerifyPeerCertificate].
// That is not called where a session is resumed: policy and collateral are those of
// the session's first handshake then, and a server without RequireAnyClientCert does not
// call it for a client that shows no certificate. Prefer VerifyConnection.
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

// HTTPClient returns a client that talks HTTPS to an attested peer and to nobody else:
// plain HTTP is refused, proxies of the environment are not used, and where it is redirected to
// must be such a peer too. A peer is judged once for each connection, before the
// first request is sent. The client keeps connections: after a change of policy, call
// its CloseIdleConnections. It has no Timeout: requests have their contexts.
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

// AppraisePeer judges the certificates that a peer showed, leaf first: their dates, their
// issuer if want has Roots, the leaf's evidence (see [Verifier.Appraise]), that its system
// is known (see [Peer]), and that the app and instance it proves are those wanted and those that the
// certificate names. That the peer
// holds the leaf's key is for the handshake to find out. The error is [ErrNoAttestation] if the leaf
// has no evidence.
func (v *Verifier) AppraisePeer(ctx context.Context, chain []*x509.Certificate, want Peer) (*Verdict, error) {
	verdict, err := v.appraisePeer(ctx, chain, want, v.Appraise)
	if err != nil {
		return nil, fmt.Errorf("attested peer: %w", err)
	}
	return verdict, nil
}

// RecheckPeer applies to certificates that AppraisePeer has accepted before what needs no
// collateral, which may not be had now: dates, issuer, the binding of the key, the event log,
// the ids, and of the policy all but Statuses and Advisories. An error refuses them as
// AppraisePeer would. That there is none admits nobody: signatures are not looked at.
func (v *Verifier) RecheckPeer(chain []*x509.Certificate, want Peer) error {
	if _, err := v.appraisePeer(context.Background(), chain, want, v.recheck); err != nil {
		return fmt.Errorf("attested peer: %w", err)
	}
	return nil
}

// appraisePeer is given who judges the leaf's evidence.
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

// issuers are the authorities that may have issued chain's leaf below the peer's roots; none
// where it need not be below one.
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

// checkIssuers checks that one of the issuers is the authority of the proven app. A KMS
// has one for each app: that of another app has not judged this machine.
func checkIssuers(issuers []*x509.Certificate, proven AppID) error {
	err := errors.New("certificate is itself a root: want one that a root's authority issued")
	for _, c := range issuers {
		if err = checkIssuer(c, proven); err == nil {
			return nil
		}
	}
	return err
}

// check holds what was proven against what is wanted, and against what the
// certificate says besides.
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
