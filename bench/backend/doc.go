// Package backend is the server behind the proxy under test: it echoes, sinks,
// sends, or trickles, as each connection's first bytes ask ([Command]). It costs
// little, so that it can share a core with the load generator.
//
// It takes a recorded ClientHello before the command and passes over it, so that a
// passthrough can be measured without TLS. It speaks no TLS itself, and it trusts
// any client: it serves nothing but zeros and what it was sent.
//
// How to read it: command.go is the protocol; [Server] in server.go the event
// loop; conn.go one connection.
package backend
