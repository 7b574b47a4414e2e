// Package certs serves the TLS certificates of the base domains: it loads and
// checks a certificate and key per domain, hands out one ready *tls.Config per
// domain and application protocol, follows the files when they are replaced,
// and rotates the keys of session tickets.
//
// It does not issue certificates, verify chains up to a root (the roots are the
// clients'), staple OCSP, or decide which protocol a connection gets. A
// certificate that cannot work is refused at start; later a bad replacement is
// refused and the good one stays. A domain may be without one at first, where
// somebody else is to make it.
//
// Read index.go for what it holds, pair.go for what is checked, tlsconfig.go for
// what a handshake uses, reload.go for how files are followed, memory.go for
// certificates that are made in this process, tickets.go for resumption.
package certs
