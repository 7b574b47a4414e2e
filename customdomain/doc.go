// Package customdomain finds the app that serves a name outside the gateway's own domains.
// The owner of the name sets a TXT record:
//
//	_dstack-app-address.www.customer.org       TXT "<app or instance id>:<port>"
//	_dstack-app-address-wildcard.customer.org  TXT "<app or instance id>:<port>"
//
// The result is an id and a port, never an address. The caller must look the id up among
// the registered instances and fail if it is not there, so a record can only lead to what is
// reachable under the gateway's own domains. A forged record leads a client to another app,
// which has no certificate for the name. Such connections are always passed through, and the
// client's own check of the certificate protects it.
//
// The package asks recursive resolvers only and follows no delegation or alias itself. It
// verifies no DNSSEC signatures (a resolver that does so answers SERVFAIL, which counts).
// It never treats a failure as absence. Strangers cannot decide how many queries are sent or
// how much is remembered.
//
// Read resolver.go first: [Resolver] remembers answers, joins equal lookups and limits the
// others. search.go has the order of the names to ask; query.go goes from resolver to
// resolver, exchange.go through the sockets of package dnsquery; answer.go and record.go
// judge the answers. cache.go and limit.go have the bounds.
package customdomain
