// Package dnsquery asks one DNS question: of a recursive resolver ([Resolver]), of a
// server that is named ([Exchange]), or in one message on a socket of its own
// ([ExchangeUDP], [ExchangeTCP]) for who decides himself when to ask again. It is what
// the solver in acme/dns01, the preflight in acme/caa and customdomain share.
//
// An answer is bounded in size, time and the datagrams that are thrown away for it,
// and must be to the question that was asked. What it refuses to do: it caches
// nothing, checks no DNSSEC signature (a resolver that does answers SERVFAIL, which
// is an error here), and takes no failure for absence.
//
// How to read it: resolver.go goes from server to server, exchange.go is one
// question to one of them, socket.go is one message and the answer to it, answer.go
// reads what came back.
package dnsquery
