package qvl

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"
)

// MaxCollateral bounds a file for ParseCollateral, in bytes. Real files have about 20 kB.
const MaxCollateral = 4 << 20

// Collateral is what Intel publishes about a kind of platform, as a server sent it. Nothing
// in it is verified. Do not change it.
type Collateral struct {
	TCBInfo             []byte // the exact bytes of the member tcbInfo, which the signature covers
	TCBInfoSignature    []byte // 64 bytes, r and s
	TCBInfoChain        []byte // PEM: TCB signing certificate, root
	QEIdentity          []byte // the exact bytes of the member enclaveIdentity
	QEIdentitySignature []byte
	QEIdentityChain     []byte
	PCKCRL              []byte // DER
	PCKCRLChain         []byte // PEM: the PCK CA that issued it, root
	RootCRL             []byte // DER
}

// collateralJSON is the form of dcap-qvl (its QuoteCollateralV3).
type collateralJSON struct {
	PCKCRLChain         string `json:"pck_crl_issuer_chain"`
	RootCRL             string `json:"root_ca_crl"`
	PCKCRL              string `json:"pck_crl"`
	TCBInfoChain        string `json:"tcb_info_issuer_chain"`
	TCBInfo             string `json:"tcb_info"`
	TCBInfoSignature    string `json:"tcb_info_signature"`
	QEIdentityChain     string `json:"qe_identity_issuer_chain"`
	QEIdentity          string `json:"qe_identity"`
	QEIdentitySignature string `json:"qe_identity_signature"`
}

// ParseCollateral reads a file in the JSON form of dcap-qvl, of at most MaxCollateral bytes.
// It ignores members that it does not use, such as pck_certificate_chain, and returns an
// error if a member is missing.
func ParseCollateral(file []byte) (*Collateral, error) {
	var j collateralJSON
	if err := unmarshal(file, MaxCollateral, &j); err != nil {
		return nil, fmt.Errorf("collateral: %w", err)
	}
	c := &Collateral{}
	for _, m := range []struct {
		name, s string
		isHex   bool
		dst     *[]byte
	}{
		{"pck_crl_issuer_chain", j.PCKCRLChain, false, &c.PCKCRLChain},
		{"root_ca_crl", j.RootCRL, true, &c.RootCRL},
		{"pck_crl", j.PCKCRL, true, &c.PCKCRL},
		{"tcb_info_issuer_chain", j.TCBInfoChain, false, &c.TCBInfoChain},
		{"tcb_info", j.TCBInfo, false, &c.TCBInfo},
		{"tcb_info_signature", j.TCBInfoSignature, true, &c.TCBInfoSignature},
		{"qe_identity_issuer_chain", j.QEIdentityChain, false, &c.QEIdentityChain},
		{"qe_identity", j.QEIdentity, false, &c.QEIdentity},
		{"qe_identity_signature", j.QEIdentitySignature, true, &c.QEIdentitySignature},
	} {
		b, err := []byte(m.s), error(nil)
		if m.isHex {
			b, err = hex.DecodeString(m.s)
		}
		switch {
		case err != nil:
			return nil, fmt.Errorf("collateral: %s: not hex", m.name)
		case len(b) == 0:
			return nil, fmt.Errorf("collateral: %s: missing", m.name)
		}
		*m.dst = b
	}
	return c, nil
}

// MarshalJSON returns the form that ParseCollateral reads. It returns an error if a document
// is not UTF-8: JSON cannot carry it unchanged.
func (c Collateral) MarshalJSON() ([]byte, error) {
	for _, text := range [][]byte{c.PCKCRLChain, c.TCBInfoChain, c.TCBInfo, c.QEIdentityChain, c.QEIdentity} {
		if !utf8.Valid(text) {
			return nil, errors.New("collateral: a document is not UTF-8")
		}
	}
	return json.Marshal(collateralJSON{
		PCKCRLChain:         string(c.PCKCRLChain),
		RootCRL:             hex.EncodeToString(c.RootCRL),
		PCKCRL:              hex.EncodeToString(c.PCKCRL),
		TCBInfoChain:        string(c.TCBInfoChain),
		TCBInfo:             string(c.TCBInfo),
		TCBInfoSignature:    hex.EncodeToString(c.TCBInfoSignature),
		QEIdentityChain:     string(c.QEIdentityChain),
		QEIdentity:          string(c.QEIdentity),
		QEIdentitySignature: hex.EncodeToString(c.QEIdentitySignature),
	})
}
