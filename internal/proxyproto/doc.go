// Package proxyproto reads and writes the PROXY protocol, versions 1 and 2, as
// HAProxy's proxy-protocol.txt defines it: the header by which a load balancer
// says whose connection it forwards.
//
// The package is a codec. It does no I/O and holds no bytes. It does not decide
// whom to believe: a caller parses only what a trusted peer sent, and requires
// the header there, because guessing whether there is one would let a client
// write its own address (section 5 of the specification).
//
// Read header.go first, then v1.go and v2.go.
package proxyproto
