// Package dnsquery asks one DNS question: of a recursive resolver ([Resolver]), or
// of a server that is named ([Exchange]). It is what the solver in acme/dns01 and the
// preflight in acme/caa share.
//
// An answer is bounded in size, time and the datagrams that are thrown away for it,
// and must be to the question that was asked. What it refuses to do: it caches
// nothing, checks no DNSSEC signature (a resolver that does answers SERVFAIL, which
// is an error here), and takes no failure for absence.
//
// How to read it: resolver.go goes from server to server, exchange.go is one
// question on a socket of its own, answer.go reads what came back.
package dnsquery
