package tdxpki

import (
	"encoding/hex"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-tdx-guest/verify"
)

// The tests of this file have google/go-tdx-guest judge this world.

// served answers go-tdx-guest's requests with documents.
type served struct{ Documents }

func (s served) Get(address string) (header map[string][]string, body []byte, err error) {
	chain := func(name string, pem []byte) map[string][]string {
		return map[string][]string{name: {url.QueryEscape(string(pem))}}
	}
	switch {
	case strings.Contains(address, "/tdx/certification/v4/tcb?"):
		return chain("Tcb-Info-Issuer-Chain", s.TCBInfoChain), s.TCBInfoBody(), nil
	case strings.Contains(address, "/tdx/certification/v4/qe/identity"):
		return chain("Sgx-Enclave-Identity-Issuer-Chain", s.QEIdentityChain), s.QEIdentityBody(), nil
	case strings.Contains(address, "/sgx/certification/v4/pckcrl?ca="):
		return chain("Sgx-Pck-Crl-Issuer-Chain", s.PCKCRLChain), s.PCKCRL, nil
	case address == rootCRLURL:
		return nil, s.RootCRL, nil
	}
	return nil, nil, fmt.Errorf("nothing at %s", address)
}

// judge verifies a quote completely, as of the world's time.
func judge(t *testing.T, p *PKI, quote []byte, d Documents) error {
	t.Helper()
	return verify.RawTdxQuoteContext(t.Context(), quote, options(p, d))
}

func options(p *PKI, d Documents) *verify.Options {
	at := &verify.TimeSet{PckCertChain: p.Now, TcbInfo: p.Now, QeIdentity: p.Now, PckCrl: p.Now, RootCaCrl: p.Now}
	return &verify.Options{GetCollateral: true, CheckRevocations: true, Getter: served{d}, TrustedRoots: p.Roots(), Now: at}
}

func TestDefaultQuotesVerify(t *testing.T) {
	p := New(1, now)
	tests := map[string]*Quote{"version 4": p.Quote(), "version 5, TD 1.5": p.QuoteV5(), "version 5, TD 1.0": p.QuoteV5()}
	tests["version 5, TD 1.0"].BodyType = BodyTD10
	for name, q := range tests {
		if err := judge(t, p, q.Build(), p.Collateral().Sign()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSetChainHasTheNULOfRealQuotes(t *testing.T) {
	q := New(1, now).Quote()
	if data := q.PCKData; data[len(data)-1] != 0 || data[len(data)-2] != '\n' {
		t.Errorf("ends in %q", data[len(data)-4:])
	}
}

func TestOneBrokenThingIsNoticed(t *testing.T) {
	forger := New(2, now)
	tests := []struct {
		name   string
		want   string
		breaks func(*PKI, *Quote, *Collateral)
	}{
		{"debug TD is signed all the same", "", func(_ *PKI, q *Quote, _ *Collateral) { q.TD.TDAttributes |= AttributeDebug }},
		{"foreign PCK signs the QE", "QE report", func(_ *PKI, q *Quote, _ *Collateral) { q.PCK = forger.Leaf.Key }},
		{"foreign chain", "unknown authority", func(_ *PKI, q *Quote, _ *Collateral) {
			q.PCK = forger.Leaf.Key
			q.SetChain(forger.Leaf, forger.Platform, forger.Root)
		}},
		{"chain in another order", "PCK certificate extensions", func(p *PKI, q *Quote, _ *Collateral) { q.SetChain(p.Root, p.Platform, p.Leaf) }},
		{"intermediate missing", "incomplete PCK Certificate chain", func(p *PKI, q *Quote, _ *Collateral) { q.SetChain(p.Leaf, p.Root) }},
		{"PCK certified by a forger", "unable to validate PCK leaf", func(p *PKI, q *Quote, _ *Collateral) {
			q.SetChain(p.Leaf.Reissue(p.Platform.WithKey(forger.Platform.Key), nil), p.Platform, p.Root)
		}},
		{"PCK CA certified by a forger", "unable to validate Intermediate CA", func(p *PKI, q *Quote, _ *Collateral) {
			q.SetChain(p.Leaf, p.Platform.Reissue(p.Root.WithKey(forger.Root.Key), nil), p.Root)
		}},
		{"PCK expired", "expired", func(p *PKI, q *Quote, _ *Collateral) {
			q.SetChain(p.Leaf.Reissue(p.Platform, func(t *Template) { t.NotAfter = p.Now.Add(-time.Second) }), p.Platform, p.Root)
		}},
		{"PCK of another name", "is not expected in certificate's subject name", func(p *PKI, q *Quote, _ *Collateral) {
			q.SetChain(p.Leaf.Reissue(p.Platform, func(t *Template) { t.Subject = "Intel SGX PCK" }), p.Platform, p.Root)
		}},
		{"TCB signing certified by a forger", "unable to validate signing certificate", func(p *PKI, _ *Quote, c *Collateral) {
			c.TCBInfoChain = []*Entity{p.TCBSigning.Reissue(p.Root.WithKey(forger.Root.Key), nil), p.Root}
		}},
		{"PCK revoked", "PCK Leaf certificate in PCK certificate chain was revoked", func(p *PKI, _ *Quote, c *Collateral) { c.PCKCRL = c.PCKCRL.Revoke(p.Leaf) }},
		{"PCK CA revoked", "intermediate certificate in PCK certificate chain was revoked", func(p *PKI, _ *Quote, c *Collateral) { c.RootCRL = c.RootCRL.Revoke(p.Platform) }},
		{"TCB signing revoked", "signing certificate was revoked", func(p *PKI, _ *Quote, c *Collateral) { c.RootCRL = c.RootCRL.Revoke(p.TCBSigning) }},
		{"PCK CRL of a forger", "PCK CRL verification failed", func(p *PKI, _ *Quote, c *Collateral) { c.PCKCRL.Issuer = p.Platform.WithKey(forger.Platform.Key) }},
		{"root CRL expired", "CRL has expired", func(p *PKI, _ *Quote, c *Collateral) { c.RootCRL.NextUpdate = p.Now.Add(-time.Second) }},
		{"TCB info expired", "tcbInfo has expired", func(p *PKI, _ *Quote, c *Collateral) { c.TCBInfo.NextUpdate = p.Now.Add(-time.Second) }},
		{"TCB info of a forger", "tcbInfo response verification", func(p *PKI, _ *Quote, c *Collateral) {
			c.TCBInfoChain = []*Entity{p.TCBSigning.WithKey(forger.TCBSigning.Key), p.Root}
		}},
		{"QE identity of a forger", "QeIdentity response verification", func(p *PKI, _ *Quote, c *Collateral) {
			c.QEIdentityChain = []*Entity{p.TCBSigning.WithKey(forger.TCBSigning.Key), p.Root}
		}},
		{"other FMSPC", "FMSPC", func(_ *PKI, _ *Quote, c *Collateral) { c.TCBInfo.FMSPC[0] ^= 1 }},
		{"module out of date", "OutOfDate", func(_ *PKI, q *Quote, _ *Collateral) { q.TD.TEETCBSVN[0] = SVNOutOfDate }},
		{"QE out of date", "OutOfDate", func(_ *PKI, q *Quote, _ *Collateral) { q.QE.ISVSVN = SVNOutOfDate }},
		{"QE of another signer", "MRSIGNER", func(_ *PKI, q *Quote, _ *Collateral) { q.QE.MRSigner[0] ^= 1 }},
	}
	for _, test := range tests {
		p := New(1, now)
		q, c := p.Quote(), p.Collateral()
		test.breaks(p, q, c)
		err := judge(t, p, q.Build(), c.Sign())
		if got := fmt.Sprint(err); test.want == "" && err != nil || test.want != "" && !strings.Contains(got, test.want) {
			t.Errorf("%s: %v, want %q", test.name, err, test.want)
		}
	}
}

func TestWhatChangesAfterItsStepIsNotCovered(t *testing.T) {
	tests := map[string]func(*Quote){
		"TD report":           func(q *Quote) { q.TD.MRTD[0] ^= 1 },
		"QE report":           func(q *Quote) { q.QE.MREnclave[0] ^= 1 },
		"authentication data": func(q *Quote) { q.AuthData[0] ^= 1 },
		"attestation key":     func(q *Quote) { q.AttestationKey = New(2, now).Key("attestation"); q.SignTD() },
		"header":              func(q *Quote) { q.UserData[0] ^= 1 },
	}
	for name, change := range tests {
		p := New(1, now)
		q := p.Quote()
		q.Build()
		change(q)
		if err := judge(t, p, q.Encode(), p.Collateral().Sign()); err == nil {
			t.Errorf("%s: changed and accepted", name)
		}
	}
}

func TestSeedAndTimeGiveTheSameBytes(t *testing.T) {
	bytesOf := func(seed uint64) string {
		p := New(seed, now)
		return hex.EncodeToString(p.Quote().Build()) + string(p.Collateral().Sign().File())
	}
	first := bytesOf(1)
	if again := bytesOf(1); first != again {
		t.Error("one seed gave two worlds")
	}
	if other := bytesOf(2); first == other {
		t.Error("two seeds gave one world")
	}
}
