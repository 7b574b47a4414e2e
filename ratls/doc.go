// Package ratls reads and writes the certificates by which dstack's confidential
// VMs prove who they are: X.509 certificates that carry an app's identity, and
// evidence of the hardware below it (RA-TLS).
//
// [Identify] turns a verified chain into an [Identity]: which app, which of its
// machines, running what. [ParseExtensions] is the part of it that reads one
// certificate. [Authority] issues such certificates where there is no KMS.
//
// An identity stands on the word of the authority that issued the certificate.
// Evidence in it is handed to a [Verifier], which its user supplies; the package
// itself judges none, and without a verifier it believes no evidence.
// It does no network or file I/O, verifies no chains (crypto/x509 does) and
// decides nothing about who is admitted.
//
// All input is held to be hostile: every decoder is bounded by its input in time
// and memory, refuses what it does not know inside a known structure, and returns an error or a value,
// never both.
//
// Read identity.go first, then extension.go and appinfo.go for the formats,
// evidence.go for what a verifier gets, authority.go for issuing.
package ratls
