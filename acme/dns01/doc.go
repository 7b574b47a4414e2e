// Package dns01 proves control of a domain by a TXT record (RFC 8555, 8.4): an
// [acmez.Solver] over any provider that has libdns' interfaces.
//
//	_acme-challenge.gw.example.com  TXT "<digest of the key authorization>"
//
// A challenge's way: its name is followed through CNAMEs, so that the record may be
// kept in another zone; the zone is found by asking for SOA records upwards; the
// provider appends the value, beside others that may be there (a domain and its
// wildcard share the name); every nameserver of the zone is asked until all have it;
// and in the end that one value is taken away.
//
// What it refuses to do: it never replaces a record, follows no loop of aliases, and
// takes neither a resolver's cache nor the first nameserver that has the value for
// the zone: the authority may ask any of them. Providers are in the folders rfc2136,
// cloudflare and exec, and a nameserver.Server is one; another one is one more file,
// or a libdns module as it is.
//
// How to read it: solver.go are the three steps of a challenge, locate.go finds
// where the record belongs and places.go remembers it, propagation.go waits, and
// nameserver.go asks one nameserver. The questions go through package dnsquery.
package dns01
