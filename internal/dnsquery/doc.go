// Package dnsquery asks one DNS question: a recursive resolver ([Resolver]), a named server
// ([Exchange]), or one message on a socket of its own ([ExchangeUDP], [ExchangeTCP]) for
// callers that decide themselves when to ask again. The solver in acme/dns01, the preflight
// in acme/caa and customdomain share it.
//
// An answer is bounded in size and time and in the datagrams that are discarded before it,
// and must match the question. The package caches nothing, verifies no DNSSEC signatures (a
// resolver that does so answers SERVFAIL, which is an error here), and never treats a
// failure as absence.
//
// Read resolver.go, which goes from server to server, then exchange.go for one question to
// one server, socket.go for one message and its answer, and answer.go for its meaning.
package dnsquery
