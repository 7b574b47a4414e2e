// Package rfc2136 changes records by DNS UPDATE (RFC 2136), signed with TSIG (RFC 8945):
// the interface of BIND, Knot, PowerDNS and Microsoft's servers.
//
// Each change is one message over TCP. It adds or removes single records and leaves others
// at the same name unchanged. An answer counts only if it is signed with the same key, so an
// attacker on the path can stop a change but cannot fake one.
//
// The package never removes a whole set of records, and never adds a record beside a CNAME,
// which a server would silently ignore (RFC 2136, 3.4.2.2).
//
// Read provider.go for the changes, record.go for their wire form, key.go for the TSIG key,
// and exchange.go for one signed message and the meaning of its answer.
package rfc2136
