package qvl

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"sallyport/ratls/tdx"
)

// Verify verifies a quote by collateral at a time, below root: [IntelRoot], except in tests.
// The error names the first broken rule; then the result has only the steps. For many quotes
// with one collateral, call [Prepare] once.
func Verify(q *tdx.Quote, c *Collateral, at time.Time, root *x509.Certificate) (*Result, error) {
	return prepare(c, root).Verify(q, at)
}

// Verify verifies a quote by the collateral at a time. The error names the first broken
// rule; then the result has only the steps. It may be called concurrently.
func (p *Prepared) Verify(q *tdx.Quote, at time.Time) (*Result, error) {
	v := &verification{Prepared: p, quote: q, at: at, until: p.window().until}
	v.steps = slices.Clone(p.steps)

	v.collateralWindows()
	v.platformCertificate()
	v.revocation()
	v.quotingEnclave()
	v.trustDomain()
	v.match()

	if err := v.steps.err(); err != nil {
		return &Result{Steps: v.steps}, err
	}
	return v.finish(), nil
}

// A verification is one quote on its way through the rules. Every rule is applied whose
// input could be read, so that the steps show all faults.
type verification struct {
	*Prepared
	quote *tdx.Quote
	at    time.Time
	chain *tdx.Chain // nil if it could not be read
	pck   *tdx.PCK   // nil if it could not be read

	steps  steps
	until  time.Time
	result Result
}

func (v *verification) check(name, value string, err error) bool {
	return v.steps.check(name, value, err)
}

// collateralWindows applies issueDate ≤ now ≤ nextUpdate and the like.
func (v *verification) collateralWindows() {
	for _, w := range v.windows {
		v.check(w.name, w.String(), w.check(v.at))
	}
}

// platformCertificate checks that root, PCK CA and PCK certificate are a chain, and valid at
// the time.
func (v *verification) platformCertificate() {
	chain, err := v.quote.VerifyChain(v.root, v.at)
	if err != nil {
		if chain, _ = v.quote.PCKCertificates(); chain == nil {
			v.check("PCK certificates", "", err)
			return
		}
	}
	v.chain = chain
	leaf := certificateWindow(chain.Leaf)
	v.check("PCK certificates", fmt.Sprintf("%s, %s", chain.Leaf.Issuer.CommonName, leaf), err)
	for _, cert := range []*x509.Certificate{chain.Leaf, chain.Intermediate} {
		if cert.NotAfter.Before(v.until) {
			v.until = cert.NotAfter
		}
	}
	v.pck, err = tdx.ParsePCK(chain.Leaf)
	if err != nil {
		v.check("platform", "", err)
		return
	}
	v.check("platform", fmt.Sprintf("FMSPC %X, PCE id %X, PCESVN %d, CPUSVN %X",
		v.pck.FMSPC, v.pck.PCEID, v.pck.PCESVN, v.pck.CPUSVN), nil)
}

// revocation looks up both certificates: the PCK CA in the root's list, and the platform's in
// the list of its CA, of which there are two kinds.
func (v *verification) revocation() {
	if v.chain == nil {
		return
	}
	v.check("PCK CA revocation", serial(v.chain.Intermediate), v.rootCRL.check(v.chain.Intermediate))
	err := v.pckCRL.check(v.chain.Leaf)
	if err == nil && !bytes.Equal(v.pckCA.RawSubjectPublicKeyInfo, v.chain.Intermediate.RawSubjectPublicKeyInfo) {
		err = errors.New("CRL is signed by another key than the certificate")
	}
	v.check("PCK certificate revocation", serial(v.chain.Leaf), err)
}

// quotingEnclave checks that the platform's key signed the report of its quoting enclave,
// that the report names the attestation key, and that Intel made the enclave.
func (v *verification) quotingEnclave() {
	if v.chain != nil {
		v.check("QE report signature", "", v.quote.VerifyQEReport(v.chain.Leaf))
	}
	v.check("attestation key binding", "", v.quote.VerifyAttestationKey())
	if v.qe == nil {
		return
	}
	v.qe.checkReport(&v.quote.QE, v.check)
	var err error
	v.result.QE, err = findSVNLevel(v.qe.levels, v.quote.QE.ISVSVN)
	v.check("QE TCB", fmt.Sprintf("ISVSVN %d: %s", v.quote.QE.ISVSVN, v.result.QE), err)
}

// trustDomain checks that the attestation key signed the quote, and that the TD is closed to
// its host.
func (v *verification) trustDomain() {
	td := &v.quote.TD
	v.check("quote signature", fmt.Sprintf("version %d", v.quote.Version), v.quote.VerifySignature())
	v.check("trust domain", fmt.Sprintf("%016x", td.TDAttributes), td.CheckAttributes())
}

// match finds the levels of the TDX module and of the platform.
func (v *verification) match() {
	if v.tcb == nil {
		return
	}
	td := &v.quote.TD
	versions := fmt.Sprintf("TEE TCB SVN %x", td.TEETCBSVN)
	if td.HasService { // the module in use now; TEE_TCB_SVN is that at the TD's launch, which counts
		versions += fmt.Sprintf(", now %x", td.TEETCBSVN2)
	}
	var err error
	if m := v.module(td); m != nil {
		v.result.Module, err = m.level(td)
		v.check("TDX module TCB", fmt.Sprintf("%s: %s", versions, v.result.Module), err)
	}
	if v.pck == nil {
		return
	}
	v.check("FMSPC", fmt.Sprintf("%X", v.pck.FMSPC), differ(v.pck.FMSPC[:], v.tcb.fmspc[:]))
	v.check("PCE id", fmt.Sprintf("%X", v.pck.PCEID), differ(v.pck.PCEID[:], v.tcb.pceID[:]))
	v.result.Platform, err = v.tcb.find(v.pck, td)
	v.check("platform TCB", fmt.Sprintf("SGX %x, PCESVN %d, TDX %x: %s",
		v.pck.TCBComponents, v.pck.PCESVN, td.TEETCBSVN, v.result.Platform), err)
}

// module returns the identity that the TD's module must have, nil if there is none.
func (v *verification) module(td *tdx.Report) *module {
	name, m, err := v.tcb.moduleOf(td)
	if !v.check("TDX module", name, err) {
		return nil
	}
	v.check("TDX module MRSIGNER", fmt.Sprintf("%x", td.MRSignerSeam), differ(td.MRSignerSeam[:], m.mrSigner[:]))
	v.check("TDX module attributes", fmt.Sprintf("%016x", td.SeamAttributes), m.checkAttributes(td.SeamAttributes))
	return m
}

// finish merges what was found. All rules hold.
func (v *verification) finish() *Result {
	r := &v.result
	r.Status = merge(merge(r.Platform.Status, r.Module.Status), r.QE.Status)
	for _, l := range []*Level{&r.Platform, &r.Module, &r.QE} {
		l.Advisories = slices.Clone(l.Advisories) // the collateral is others' too
	}
	r.Advisories = union(r.Platform.Advisories, r.Module.Advisories, r.QE.Advisories)
	r.EvaluationNumber = min(v.tcb.evaluation, v.qe.evaluation)
	r.FMSPC, r.PPID = v.pck.FMSPC, v.pck.PPID
	r.DeviceID = sha256.Sum256(r.PPID[:])
	r.Expires = v.until
	v.check("TCB status", fmt.Sprintf("%s, evaluation %d", r.Status, r.EvaluationNumber), nil)
	r.Steps = v.steps
	return r
}
