// Package hello reads a TLS ClientHello from the first bytes of a stream: the
// server name, the ALPN list and the versions that a client offers, before
// anybody answers it.
//
// It joins what a client cut, over TCP segments and over TLS records, wherever
// the cut is. It takes what crypto/tls takes; where it differs, fuzz_test.go
// names the difference and the reason.
//
// The package does no I/O and holds no bytes: the caller keeps the stream, asks
// again when it has grown, and may replay it to a backend. It does not look at
// key shares, tickets or the encrypted part of an ECH hello, it does not decide
// where a name leads, and it sends no alert; an [Error] says which one to send.
//
// Read parser.go first (records), then message.go (the ClientHello in them).
package hello
