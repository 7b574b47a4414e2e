package attestation

import "crypto/sha512"

// A Tag is the purpose of a quote. It prevents the use of a quote for one purpose as a quote
// for another.
type Tag string

// The tags, with the content that follows each.
const (
	TagRATLSCert   Tag = "ratls-cert"   // SubjectPublicKeyInfo in DER of an RA-TLS certificate
	TagZTCert      Tag = "zt-cert"      // the same of a certificate from an ACME authority
	TagACMEAccount Tag = "acme-account" // URI of an ACME account
	TagKMSRootCA   Tag = "kms-root-ca"  // SubjectPublicKeyInfo in DER of a KMS
	TagAppData     Tag = "app-data"     // what an app chose
)

// ReportData returns the report data of a quote that binds content: the SHA-512 of
// tag ‖ ":" ‖ content.
func ReportData(tag Tag, content []byte) [64]byte {
	h := sha512.New()
	h.Write([]byte(tag))
	h.Write([]byte{':'})
	h.Write(content)
	return [64]byte(h.Sum(nil))
}
