// Package nameserver makes the gateway an authoritative DNS server, so that one NS
// record at its parent is all that a domain needs: for a whole base domain (every
// name in it has the addresses of the gateway's nodes), or for _acme-challenge of
// a domain whose other records are elsewhere.
//
//	gw.example.com.                 NS  ns.gw.example.com.   and its glue
//	_acme-challenge.www.example.com NS  ns.gw.example.com.
//
// It speaks UDP and TCP, EDNS(0), and answers from an immutable view: zones change
// by SetZones, challenges by Present and CleanUp, queries never wait for either.
//
// What it refuses to do: it asks nobody and follows no alias, so RA is never set;
// it takes no zone transfer, UPDATE or NOTIFY, signs nothing, and is silent to what
// is no query. As an amplifier it is of no use: a network that draws too much by
// UDP is told to come by TCP, in answers no longer than its queries (limit.go). Who was
// told so has places there that nobody else can take (places.go).
//
// How to read it: [Server] in server.go owns the sockets of listen.go and the view;
// udp.go and tcp.go are its loops. What is answered is pure: query.go reads a
// query, answer.go writes the answer, from the zones of view.go, which zone.go
// checks and record.go packs. challenge.go is the ACME side, provider.go the same for
// challenges that are aliases to names here; delegation.go asks whether the parent
// sends anybody to this server.
package nameserver
