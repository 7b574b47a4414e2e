// Package certs serves the TLS certificates of the base domains. It loads and checks one
// certificate and key for each domain, returns a ready *tls.Config for each domain and
// application protocol, reloads files that were replaced, and rotates the keys of session
// tickets.
//
// The package does not issue certificates, verify chains up to a root (clients have the
// roots), staple OCSP, or choose the application protocol. It refuses an unusable
// certificate at the start. Later it refuses an unusable replacement and keeps the previous
// certificate. A domain may start without a certificate if another part of the gateway will
// supply it.
//
// Read index.go for the index, pair.go for the checks, tlsconfig.go for the configuration
// of a handshake, reload.go for files, memory.go for certificates that are made in this
// process, and tickets.go for resumption.
package certs
