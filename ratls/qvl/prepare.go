package qvl

import (
	"crypto/x509"
	"fmt"
	"time"
)

// Prepared is collateral with verified signatures. It never changes and may be used
// concurrently, until the end of its window.
type Prepared struct {
	root      *x509.Certificate
	rootCRL   *crl
	pckCA     *x509.Certificate // the issuer of pckCRL
	pckCRL    *crl
	tcb       *tcbInfo
	tcbSigner *x509.Certificate
	qe        *qeIdentity
	qeSigner  *x509.Certificate

	windows []namedWindow
	steps   steps
}

type namedWindow struct {
	name string
	window
}

// Prepare parses collateral and checks its signatures and issuers up to root: everything
// that does not depend on a quote or on the time. root is [IntelRoot], except in tests. It
// keeps nothing of c. The error names the first broken rule.
func Prepare(c *Collateral, root *x509.Certificate) (*Prepared, error) {
	p := prepare(c, root)
	if err := p.steps.err(); err != nil {
		return nil, fmt.Errorf("collateral: %w", err)
	}
	return p, nil
}

// Window returns the time in which the collateral is valid, both ends included.
func (p *Prepared) Window() (from, until time.Time) {
	w := p.window()
	return w.from, w.until
}

// prepare applies every rule that it can. If it leaves a field nil, a step has the reason.
func prepare(c *Collateral, root *x509.Certificate) *Prepared {
	p := &Prepared{root: root}
	p.steps.check("root certificate", root.Subject.CommonName, checkRoot(root))
	p.hold("root certificate", certificateWindow(root))

	p.rootCRL = p.crl("root CRL", c.RootCRL, root)
	p.steps.check("root certificate revocation", serial(root), p.rootCRL.check(root))
	if p.pckCA = p.issuer("PCK CRL issuer", c.PCKCRLChain, checkPCKCA); p.pckCA != nil {
		p.pckCRL = p.crl("PCK CRL", c.PCKCRL, p.pckCA)
	}

	p.tcbSigner = p.issuer("TCB info issuer", c.TCBInfoChain, checkSigner)
	p.signature("TCB info signature", p.tcbSigner, c.TCBInfo, c.TCBInfoSignature)
	var err error
	if p.tcb, err = parseTCBInfo(c.TCBInfo); err == nil {
		p.hold("TCB info", p.tcb.window)
	}
	p.steps.check("TCB info", p.tcb.describe(), err)

	p.qeSigner = p.issuer("QE identity issuer", c.QEIdentityChain, checkSigner)
	p.signature("QE identity signature", p.qeSigner, c.QEIdentity, c.QEIdentitySignature)
	if p.qe, err = parseQEIdentity(c.QEIdentity); err == nil {
		p.hold("QE identity", p.qe.window)
	}
	p.steps.check("QE identity", p.qe.describe(), err)
	return p
}

// issuer returns the certificate of a chain, nil if it cannot be used.
func (p *Prepared) issuer(name string, chain []byte, checkUse func(*x509.Certificate) error) *x509.Certificate {
	cert, err := parseIssuer(chain, p.root)
	if err != nil {
		p.steps.check(name, "", err)
		return nil
	}
	if err = checkIssued(cert, p.root); err == nil {
		err = checkUse(cert)
	}
	p.steps.check(name, cert.Subject.CommonName, err)
	p.steps.check(name+" revocation", serial(cert), p.rootCRL.check(cert))
	p.hold(name, certificateWindow(cert))
	return cert
}

func (p *Prepared) crl(name string, der []byte, issuer *x509.Certificate) *crl {
	list, err := parseCRL(der, issuer)
	if err != nil {
		p.steps.check(name, "", err)
		return nil
	}
	p.steps.check(name, fmt.Sprintf("%s, %d revoked", issuer.Subject.CommonName, len(list.serials)), nil)
	p.hold(name, list.window)
	return list
}

func (p *Prepared) signature(name string, signer *x509.Certificate, document, signature []byte) {
	if signer != nil {
		p.steps.check(name, fmt.Sprintf("%d bytes", len(document)), checkSignature(signer, document, signature))
	}
}

// hold adds a window in which every use of the collateral must lie.
func (p *Prepared) hold(name string, w window) {
	p.windows = append(p.windows, namedWindow{name + " window", w})
}

// window returns the time that all windows share.
func (p *Prepared) window() window {
	w := p.windows[0].window // the root's
	for _, next := range p.windows[1:] {
		w = w.intersect(next.window)
	}
	return w
}

func (t *tcbInfo) describe() string {
	if t == nil {
		return ""
	}
	return fmt.Sprintf("TDX version 3, FMSPC %X, evaluation %d, %d levels", t.fmspc, t.evaluation, len(t.levels))
}

func (q *qeIdentity) describe() string {
	if q == nil {
		return ""
	}
	return fmt.Sprintf("TD_QE version %d, evaluation %d, %d levels", q.version, q.evaluation, len(q.levels))
}

func serial(cert *x509.Certificate) string { return fmt.Sprintf("%x", cert.SerialNumber) }
