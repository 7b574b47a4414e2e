package tdx

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
)

// Signatures in a quote are ECDSA P-256 over SHA-256, r and s of 32 bytes each,
// big endian. crypto/ecdsa refuses r and s outside 1…n-1.

// VerifyQEReport checks the signature of the quoting enclave's (QE's) report with the key of
// the platform's certificate (PCK). Verify that certificate first: see VerifyChain.
func (q *Quote) VerifyQEReport(pck *x509.Certificate) error {
	key, ok := pck.PublicKey.(*ecdsa.PublicKey)
	if !ok || key.Curve != elliptic.P256() {
		return errors.New("QE report: PCK certificate's key is not on the curve P-256")
	}
	if !signedBy(key, q.qeSigned, &q.qeSignature) {
		return errors.New("QE report: signature does not match the PCK certificate's key")
	}
	return nil
}

// VerifyAttestationKey checks that the QE's report names the attestation key: the data of the
// report is the SHA-256 of the key and the QE's auth data, and zeros. Verify the report too:
// see VerifyQEReport.
func (q *Quote) VerifyAttestationKey() error {
	h := sha256.New()
	h.Write(q.key[:])
	h.Write(q.qeAuth)
	var want [64]byte
	h.Sum(want[:0])
	if subtle.ConstantTimeCompare(want[:], q.QE.ReportData[:]) != 1 {
		return fmt.Errorf("attestation key: QE's report data is %x, want %x of this key", q.QE.ReportData, want)
	}
	return nil
}

// VerifySignature checks the quote's own signature, by the attestation key, over header and TD
// report. Verify the key too: see VerifyAttestationKey.
func (q *Quote) VerifySignature() error {
	var point [65]byte
	point[0] = 4 // uncompressed: SEC 1, 2.3.3
	copy(point[1:], q.key[:])
	key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point[:])
	if err != nil {
		return errors.New("quote: attestation key is not a point on the curve P-256")
	}
	if !signedBy(key, q.signed, &q.signature) {
		return errors.New("quote: signature does not match the attestation key")
	}
	return nil
}

func signedBy(key *ecdsa.PublicKey, message []byte, signature *[64]byte) bool {
	digest := sha256.Sum256(message)
	r := new(big.Int).SetBytes(signature[:32])
	s := new(big.Int).SetBytes(signature[32:])
	return ecdsa.Verify(key, digest[:], r, s)
}
