// Package rfc2136 changes records by DNS UPDATE (RFC 2136), signed with TSIG (RFC
// 8945): the interface of BIND, Knot, PowerDNS and Microsoft's servers.
//
// Each change is one message over TCP. It adds or removes single records and leaves
// the others at their name as they are. An answer counts only if it is signed with
// the same key: who sits on the way can stop a change, but not feign one.
//
// What it refuses to do: it never removes a whole set of records, and never adds one
// beside a CNAME, which a server would ignore in silence (RFC 2136, 3.4.2.2).
//
// How to read it: provider.go are the changes, record.go their wire form, key.go the
// TSIG key, exchange.go one signed message and what its answer means.
package rfc2136
