// Package dns01 proves control of a domain by a TXT record (RFC 8555, 8.4). It is an
// [acmez.Solver] over any provider that implements libdns' interfaces.
//
//	_acme-challenge.gw.example.com  TXT "<digest of the key authorization>"
//
// The solver follows the challenge's name through CNAMEs, so the record may be in another
// zone. It finds the zone by SOA queries upwards. The provider appends the value; other
// values may be there, because a domain and its wildcard share the name. The solver waits
// until every name server of the zone has the value, and removes that one value at the end.
//
// The package never replaces a record and follows no loop of aliases. Neither a resolver's
// cache nor the first name server that has the value counts for the whole zone, because the
// authority may ask any name server. Providers are in the folders rfc2136, cloudflare and
// exec; nameserver.Server is one too. A libdns module can be used as it is.
//
// Read solver.go first: it has the three steps of a challenge. locate.go finds where the
// record belongs and places.go remembers it, propagation.go waits, and nameserver.go asks
// one name server. The queries go through package dnsquery.
package dns01
