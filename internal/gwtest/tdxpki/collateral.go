package tdxpki

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
)

// A Collateral is what Intel publishes about a kind of machine, before it is
// signed. The first certificate of a chain is whose key signs ([Entity.WithKey]
// makes an impostor); the others are only shown.
type Collateral struct {
	TCBInfo         TCBInfo
	TCBInfoChain    []*Entity
	QEIdentity      QEIdentity
	QEIdentityChain []*Entity
	PCKCRL          CRL
	PCKCRLChain     []*Entity
	RootCRL         CRL
}

// Collateral is the good collateral of the world's machine.
func (p *PKI) Collateral() *Collateral {
	signing := []*Entity{p.TCBSigning, p.Root}
	return &Collateral{
		TCBInfo: p.TCBInfo(), TCBInfoChain: signing,
		QEIdentity: p.QEIdentity(), QEIdentityChain: signing,
		PCKCRL: p.PCKCRL(p.Issuer()), PCKCRLChain: []*Entity{p.Issuer(), p.Root},
		RootCRL: p.RootCRL(),
	}
}

// Documents are a collateral's parts as they travel.
type Documents struct {
	TCBInfo             []byte // the bytes of the member, which the signature covers
	TCBInfoSignature    []byte // 64 bytes: r, s
	TCBInfoChain        []byte // PEM
	QEIdentity          []byte
	QEIdentitySignature []byte
	QEIdentityChain     []byte
	PCKCRL              []byte // DER
	PCKCRLChain         []byte
	RootCRL             []byte
}

// Sign makes the documents. What is changed in them is no longer what was signed.
func (c *Collateral) Sign() Documents {
	d := Documents{
		TCBInfo:         must(json.Marshal(c.TCBInfo)),
		TCBInfoChain:    PEM(c.TCBInfoChain...),
		QEIdentity:      must(json.Marshal(c.QEIdentity)),
		QEIdentityChain: PEM(c.QEIdentityChain...),
		PCKCRL:          c.PCKCRL.Sign(),
		PCKCRLChain:     PEM(c.PCKCRLChain...),
		RootCRL:         c.RootCRL.Sign(),
	}
	d.TCBInfoSignature = c.TCBInfoChain[0].SignJSON(d.TCBInfo)
	d.QEIdentitySignature = c.QEIdentityChain[0].SignJSON(d.QEIdentity)
	return d
}

// SignJSON signs the bytes of a member, for documents written by hand.
func (e *Entity) SignJSON(member []byte) []byte {
	raw := rawSignature(e.Key, member)
	return raw[:]
}

// TCBInfoBody is the answer of Intel's service: {"tcbInfo":…,"signature":"…"}.
func (d Documents) TCBInfoBody() []byte { return envelope("tcbInfo", d.TCBInfo, d.TCBInfoSignature) }

// QEIdentityBody is the answer of Intel's service: {"enclaveIdentity":…,"signature":"…"}.
func (d Documents) QEIdentityBody() []byte {
	return envelope("enclaveIdentity", d.QEIdentity, d.QEIdentitySignature)
}

// envelope puts a member in as it is: its signature covers each byte of it.
func envelope(name string, member, signature []byte) []byte {
	var b bytes.Buffer
	b.WriteString(`{"` + name + `":`)
	b.Write(member)
	b.WriteString(`,"signature":"` + hex.EncodeToString(signature) + `"}`)
	return b.Bytes()
}

// File is the documents in the JSON form in which dcap-qvl stores them.
func (d Documents) File() []byte {
	return must(json.Marshal(struct {
		PCKCRLChain         string `json:"pck_crl_issuer_chain"`
		RootCRL             string `json:"root_ca_crl"`
		PCKCRL              string `json:"pck_crl"`
		TCBInfoChain        string `json:"tcb_info_issuer_chain"`
		TCBInfo             string `json:"tcb_info"`
		TCBInfoSignature    string `json:"tcb_info_signature"`
		QEIdentityChain     string `json:"qe_identity_issuer_chain"`
		QEIdentity          string `json:"qe_identity"`
		QEIdentitySignature string `json:"qe_identity_signature"`
	}{
		PCKCRLChain: string(d.PCKCRLChain), RootCRL: hex.EncodeToString(d.RootCRL), PCKCRL: hex.EncodeToString(d.PCKCRL),
		TCBInfoChain: string(d.TCBInfoChain), TCBInfo: string(d.TCBInfo), TCBInfoSignature: hex.EncodeToString(d.TCBInfoSignature),
		QEIdentityChain: string(d.QEIdentityChain), QEIdentity: string(d.QEIdentity), QEIdentitySignature: hex.EncodeToString(d.QEIdentitySignature),
	}))
}
