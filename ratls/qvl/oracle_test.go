package qvl

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-tdx-guest/verify"

	"sallyport/internal/gwtest/tdxpki"
)

// The tests of this file hold verdicts against google/go-tdx-guest, where that is
// right. It knows one good status, UpToDate; it takes the module's level for the
// platform's on TDX 1.5, so the platform of all worlds here is UpToDate; it
// refuses the Processor CA, and says nothing of a TD's attributes.

// served answers go-tdx-guest's requests with a world's documents.
type served struct{ *Collateral }

func (s served) Get(address string) (header map[string][]string, body []byte, err error) {
	chain := func(name string, pem []byte) map[string][]string {
		return map[string][]string{name: {url.QueryEscape(string(pem))}}
	}
	switch d := tdxpki.Documents(*s.Collateral); {
	case strings.Contains(address, "/tdx/certification/v4/tcb?"):
		return chain("Tcb-Info-Issuer-Chain", d.TCBInfoChain), d.TCBInfoBody(), nil
	case strings.Contains(address, "/tdx/certification/v4/qe/identity"):
		return chain("Sgx-Enclave-Identity-Issuer-Chain", d.QEIdentityChain), d.QEIdentityBody(), nil
	case strings.Contains(address, "/sgx/certification/v4/pckcrl?ca="):
		return chain("Sgx-Pck-Crl-Issuer-Chain", d.PCKCRLChain), d.PCKCRL, nil
	case strings.HasSuffix(address, "/IntelSGXRootCA.der"):
		return nil, d.RootCRL, nil
	}
	return nil, nil, fmt.Errorf("nothing at %s", address)
}

// oracle is what go-tdx-guest says.
func (w *world) oracle(t *testing.T, c *Collateral) error {
	t.Helper()
	raw := w.quote.Encode() // as signedQuote left it
	at := &verify.TimeSet{PckCertChain: w.at, TcbInfo: w.at, QeIdentity: w.at, PckCrl: w.at, RootCaCrl: w.at}
	return verify.RawTdxQuoteContext(t.Context(), raw, &verify.Options{
		GetCollateral: true, CheckRevocations: true, Getter: served{c}, TrustedRoots: w.Roots(), Now: at,
	})
}

type change struct {
	name string
	do   func(*world)
}

// oracleChanges are good ones and bad ones, of quotes and of collateral.
func oracleChanges() []change {
	second := time.Second
	return []change{
		{"nothing", func(*world) {}},
		{"version 5", func(w *world) { w.quote.Version, w.quote.BodyType = 5, tdxpki.BodyTD15 }},
		{"TD 1.0 in version 5", func(w *world) { w.quote.Version, w.quote.BodyType = 5, tdxpki.BodyTD10 }},
		{"newer module", func(w *world) { w.quote.TD.TEETCBSVN[0] = 200 }},
		{"newer microcode", func(w *world) { w.quote.TD.TEETCBSVN[2] = 200 }},
		{"newer QE", func(w *world) { w.quote.QE.ISVSVN = 300 }},
		{"module 3", func(w *world) { w.quote.TD.TEETCBSVN[1] = 3 }},
		{"unknown module", func(w *world) { w.quote.TD.TEETCBSVN[1] = 9 }},
		{"old module", func(w *world) { w.quote.TD.TEETCBSVN[0] = tdxpki.SVNOutOfDate }},
		{"revoked module", func(w *world) { w.quote.TD.TEETCBSVN[0] = tdxpki.SVNRevoked }},
		{"module below all", func(w *world) { w.quote.TD.TEETCBSVN[0] = 0 }},
		{"module's attributes", func(w *world) { w.quote.TD.SeamAttributes[0] = 1 }},
		{"old QE", func(w *world) { w.quote.QE.ISVSVN = tdxpki.SVNOutOfDate }},
		{"QE below all", func(w *world) { w.quote.QE.ISVSVN = 0 }},
		{"QE's signer", func(w *world) { w.quote.QE.MRSigner[5] ^= 1 }},
		{"QE's product", func(w *world) { w.quote.QE.ISVProdID = 1 }},
		{"QE's miscselect", func(w *world) { w.quote.QE.MiscSelect = 1 }},
		{"QE's attributes", func(w *world) { w.quote.QE.Attributes[1] = 1 }},
		{"debug QE", func(w *world) { w.quote.QE.Attributes[0] |= 2 }},
		{"QE's free attributes", func(w *world) { w.quote.QE.Attributes[0] ^= 4 }},
		{"foreign PCK key", func(w *world) { w.quote.PCK = w.forger.Leaf.Key }},
		{"header changed", func(w *world) { w.changeQuote = func(q *tdxpki.Quote) { q.UserData[3] ^= 1 } }},
		{"TD changed", func(w *world) { w.changeQuote = func(q *tdxpki.Quote) { q.TD.RTMR[2][0] ^= 1 } }},
		{"QE changed", func(w *world) { w.changeQuote = func(q *tdxpki.Quote) { q.QE.CPUSVN[0] ^= 1 } }},
		{"auth data changed", func(w *world) { w.changeQuote = func(q *tdxpki.Quote) { q.AuthData[0] ^= 1 } }},
		{"other FMSPC", func(w *world) { w.docs.TCBInfo.FMSPC[0] ^= 1 }},
		{"other PCE id", func(w *world) { w.docs.TCBInfo.PCEID[0] ^= 1 }},
		{"TCB info expired", func(w *world) { w.docs.TCBInfo.NextUpdate = w.at.Add(-second) }},
		{"QE identity expired", func(w *world) { w.docs.QEIdentity.NextUpdate = w.at.Add(-second) }},
		{"root CRL expired", func(w *world) { w.docs.RootCRL.NextUpdate = w.at.Add(-second) }},
		{"PCK CRL expired", func(w *world) { w.docs.PCKCRL.NextUpdate = w.at.Add(-second) }},
		{"revoked PCK", func(w *world) { w.docs.PCKCRL = w.docs.PCKCRL.Revoke(w.Leaf) }},
		{"revoked PCK CA", func(w *world) { w.docs.RootCRL = w.docs.RootCRL.Revoke(w.Platform) }},
		{"revoked TCB signer", func(w *world) { w.docs.RootCRL = w.docs.RootCRL.Revoke(w.TCBSigning) }},
		{"forged PCK CRL", func(w *world) { w.docs.PCKCRL.Issuer = w.forger.Platform }},
		{"forged root CRL", func(w *world) { w.docs.RootCRL.Issuer = w.forger.Root }},
		{"forged TCB info", func(w *world) { w.docs.TCBInfoChain = []*tdxpki.Entity{w.forger.TCBSigning, w.forger.Root} }},
		{"forged QE identity", func(w *world) {
			w.docs.QEIdentityChain = []*tdxpki.Entity{w.TCBSigning.WithKey(w.forger.TCBSigning.Key), w.Root}
		}},
	}
}

func TestGoTDXGuestAgrees(t *testing.T) {
	changes := oracleChanges()
	var accepted int
	for i, first := range changes {
		for j, second := range changes[i:] {
			if i > 0 && j%3 > 0 { // each alone, and a third of the pairs: both libraries take milliseconds
				continue
			}
			w := newWorld()
			first.do(w)
			second.do(w)
			q, c := w.signedQuote(t), w.collateral()
			r, ours := Verify(q, c, w.at, w.root)
			theirs := w.oracle(t, c)
			good := ours == nil && r.Status == UpToDate
			if good != (theirs == nil) {
				t.Errorf("%s and %s: %v %v, go-tdx-guest: %v", first.name, second.name, r.Status, ours, theirs)
			}
			if good {
				accepted++
			}
		}
	}
	if accepted < 10 {
		t.Errorf("only %d accepted: nothing was compared", accepted)
	}
}

func TestGoTDXGuestAcceptsTheRealPair(t *testing.T) {
	w := newWorld()
	w.at, w.root = realTime(), IntelRoot()
	pool := w.Roots()
	pool.AddCert(w.root)
	at := &verify.TimeSet{PckCertChain: w.at, TcbInfo: w.at, QeIdentity: w.at, PckCrl: w.at, RootCaCrl: w.at}
	err := verify.RawTdxQuoteContext(t.Context(), fixture(t, "derived/quote-report.quote.bin"), &verify.Options{
		GetCollateral: true, CheckRevocations: true, Getter: served{realCollateral(t)}, TrustedRoots: pool, Now: at,
	})
	if err != nil {
		t.Error(err)
	}
}
