// Package customdomain finds out which app serves a name outside of the
// gateway's own domains: the name's owner says so in a TXT record.
//
//	_dstack-app-address.www.customer.org       TXT "<app or instance id>:<port>"
//	_dstack-app-address-wildcard.customer.org  TXT "<app or instance id>:<port>"
//
// The result is an id and a port, never an address: whoever uses it must look the
// id up among the registered instances, and fail if it is not there. So a record
// can lead to what is reachable under the gateway's own domains already, and to
// nothing else. A forged one leads a client to another app, which has no
// certificate for the name: such connections are always passed through, and the
// client's own check of the certificate is what protects it.
//
// What it refuses to do: it asks recursive resolvers only and follows no
// delegation or alias itself; it checks no DNSSEC signature (a resolver that does
// answers SERVFAIL, which is believed); it never takes a failure for absence; and it
// lets no stranger decide how many queries are sent or how much is remembered.
//
// How to read it: [Resolver] in resolver.go remembers, joins equal lookups and
// limits the others; search.go is the order of the names to ask; query.go goes
// from resolver to resolver, exchange.go through the sockets of package dnsquery;
// answer.go and record.go judge what came back. cache.go and limit.go are what
// bounds it all.
package customdomain
