package pccs

import (
	"bytes"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"sallyport/ratls/qvl"
)

// head is the platform of documents and the time when each was issued, by their own
// statement. Package qvl verifies it.
type head struct {
	platform Platform
	issued   [4]time.Time // TCB info, QE identity, PCK CRL, root CRL
}

func readHead(c *qvl.Collateral) (h head, err error) {
	var tcb, qe struct {
		FMSPC     string    `json:"fmspc"` // of TCB info alone
		IssueDate time.Time `json:"issueDate"`
	}
	if err := json.Unmarshal(c.TCBInfo, &tcb); err != nil {
		return head{}, fmt.Errorf("TCB info: %w", err)
	}
	fmspc, err := hex.DecodeString(tcb.FMSPC)
	if err != nil || len(fmspc) != len(h.platform.FMSPC) {
		return head{}, fmt.Errorf("TCB info: fmspc %.20q is not %d bytes in hex", tcb.FMSPC, len(h.platform.FMSPC))
	}
	if err := json.Unmarshal(c.QEIdentity, &qe); err != nil {
		return head{}, fmt.Errorf("QE identity: %w", err)
	}
	pck, err := x509.ParseRevocationList(c.PCKCRL)
	if err != nil {
		return head{}, fmt.Errorf("PCK CRL: %w", err)
	}
	root, err := x509.ParseRevocationList(c.RootCRL)
	if err != nil {
		return head{}, fmt.Errorf("root CRL: %w", err)
	}
	ca, err := issuer(pck.Issuer.CommonName)
	if err != nil {
		return head{}, fmt.Errorf("PCK CRL: %w", err)
	}
	return head{
		Platform{[6]byte(fmspc), ca},
		[4]time.Time{tcb.IssueDate, qe.IssueDate, pck.ThisUpdate, root.ThisUpdate},
	}, nil
}

// before reports whether a document of h is older than the same of other.
func (h head) before(other head) bool {
	for i := range h.issued {
		if h.issued[i].Before(other.issued[i]) {
			return true
		}
	}
	return false
}

// entry is the documents of a platform. Only its last three fields change.
type entry struct {
	docs        *qvl.Collateral
	prepared    *qvl.Prepared
	head        head
	from, until time.Time // when all the documents are in time, both included

	used     time.Time
	due      time.Time // when to fetch again
	failures int       // of fetching again, in a row
}

// examine verifies documents for p: signatures, issuers and revocation up to root, and then
// the platform.
func examine(p Platform, docs *qvl.Collateral, root *x509.Certificate) (*entry, error) {
	prepared, err := qvl.Prepare(docs, root)
	if err != nil {
		return nil, err
	}
	e := &entry{docs: docs, prepared: prepared}
	e.from, e.until = prepared.Window()
	if e.head, err = readHead(docs); err != nil {
		return nil, err
	}
	if e.head.platform != p {
		return nil, fmt.Errorf("the documents are for %s, want %s", e.head.platform, p)
	}
	return e, nil
}

// holds reports whether the documents are valid at now.
func (e *entry) holds(now time.Time) bool { return !now.Before(e.from) && !now.After(e.until) }

// same reports whether a and b are the same documents.
func same(a, b *qvl.Collateral) bool {
	x, y := parts(a), parts(b)
	for i := range x {
		if !bytes.Equal(x[i], y[i]) {
			return false
		}
	}
	return true
}

func parts(c *qvl.Collateral) [9][]byte {
	return [9][]byte{
		c.TCBInfo, c.TCBInfoSignature, c.TCBInfoChain,
		c.QEIdentity, c.QEIdentitySignature, c.QEIdentityChain,
		c.PCKCRL, c.PCKCRLChain, c.RootCRL,
	}
}
