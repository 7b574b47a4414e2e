// Package hello reads a TLS ClientHello from the first bytes of a stream: the server name,
// the ALPN list and the versions that a client offers. The server has not answered yet.
//
// The package joins a hello that was split over TCP segments and TLS records at any place.
// It accepts what crypto/tls accepts; fuzz_test.go names each difference and its reason.
//
// The package does no I/O and holds no bytes: the caller keeps the stream, calls again when
// it has grown, and may replay it to a backend. The package does not look at key shares,
// tickets or the encrypted part of an ECH hello, does not route, and sends no alert; an
// [Error] has the alert to send.
//
// Read parser.go first (records), then message.go (the ClientHello in them).
package hello
