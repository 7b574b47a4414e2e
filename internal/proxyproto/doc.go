// Package proxyproto reads and writes the PROXY protocol, versions 1 and 2, as HAProxy's
// proxy-protocol.txt defines it: a header in which a load balancer sends the address of the
// client.
//
// The package is a codec. It does no I/O and holds no bytes. It does not decide which
// senders to trust: a caller must parse only what a trusted sender sent, and must require
// the header there. Guessing whether there is a header would let a client write its own
// address (section 5 of the specification).
//
// Read header.go first, then v1.go and v2.go.
package proxyproto
