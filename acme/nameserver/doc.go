// Package nameserver makes the gateway an authoritative DNS server, so that a domain
// needs one NS record at its parent and nothing more. A zone is either a whole base
// domain, in which every name has the addresses of the gateway's nodes, or the
// _acme-challenge name of a domain whose other records are elsewhere.
//
//	gw.example.com.                 NS  ns.gw.example.com.   and its glue
//	_acme-challenge.www.example.com NS  ns.gw.example.com.
//
// It speaks UDP and TCP with EDNS(0), and answers from an immutable view: SetZones
// changes zones, Present and CleanUp change challenges, and queries wait for neither.
//
// It never asks another server and never follows an alias, so RA is not set. It refuses
// zone transfers, UPDATE and NOTIFY, signs nothing, and ignores messages that are not
// queries. It is useless as an amplifier: a network that draws too much by UDP is
// invited to come by TCP, in answers no longer than its queries (limit.go), and half of
// the TCP connections are for invited networks (places.go).
//
// The wire format is that of github.com/miekg/dns. Its servers are not used, because they
// cannot give these bounds: they start a goroutine for each datagram, they unpack each
// message whole and where no panic can be recovered, a client that does not read holds a
// TCP connection for ever, and messages that are not queries do not end it.
//
// How to read it: [Server] in server.go owns the sockets of listen.go and the view;
// udp.go and tcp.go are its loops, and reply.go is what they do with a message. query.go
// reads it, answer.go answers it from the zones of view.go, which zone.go checks. All
// three are pure. challenge.go is the ACME side, provider.go the same for challenges
// that are aliases to names here; delegation.go asks whether the parent zone delegates
// to this server, and leads.go whether the challenges of a domain come here.
package nameserver
