// Package relay moves bytes between clients and backends. It accepts a
// connection, reads its ClientHello, asks a Route function what shall become of
// it, and then either ends the client's TLS or passes the stream through to the
// first backend that can be reached. It knows no apps and no certificates: the
// decision carries all it needs.
//
// # A connection's way
//
//	accept.go       a descriptor becomes a conn; limits (source.go: per client address);
//	                what to do without descriptors
//	coro.go         its first byte gives it a coroutine, in which setup.go runs:
//	proxyheader.go    PROXY header, from senders that must send one
//	postgres.go       PostgreSQL's SSLRequest
//	readhello.go      the ClientHello
//	setup.go          the decision (lookup.go: one that has to wait)
//	dial.go           connect to a candidate, hedged (dialer.go: without a kernel route,
//	                  over a bridge.go; ports.go: from which local port;
//	                  dialtls.go: encrypted again, if its certificate is believed;
//	                  bind.go: by no way but the tunnel)
//	tls.go            TLS handshake, if it ends here (wire.go: what crypto/tls reads and writes)
//	ticket.go           its last flight, for clients without TCP_NODELAY
//	earlydata.go      … of a client that offers 0-RTT data
//	preface.go        what the backend must hear first
//	flow.go         relayed: each direction copies …
//	splice.go       … or splices (pipes.go: the pool and its quota)
//	mute.go         a sender that is ahead of its receiver does not wake the loop
//	tlsflow.go      … or encrypts and decrypts (retls.go: both, on either side), in turns
//	                  (turn.go) that bound what a peer can make crypto/tls do
//	refuse.go       or it was refused: an alert, and time to read it
//	evict.go        or it is ended from outside: its backend has gone, or the gateway goes
//	part.go         or it was cut off: whoever is left gets RST, when what was sent has arrived
//	end.go          the end: exactly one Reason (reason.go), one count
//	report.go       … and one line in the log, if it is not one of too many
//
// # Threads
//
// A loop (loop.go, which waits in poll.go) is one goroutine locked to its thread. Its connections,
// timers (timers.go; idle.go), chunks and pipes are touched by that thread alone, without
// a lock. Setting up is a coroutine on the same thread, so it is straight-line
// code that yields where it must wait; relaying is flat: a connection that is up
// is a small struct that readiness events pump. Other goroutines reach a loop
// through its inbox (inbox.go). The hot path's system calls are raw (sys.go),
// which is right only because every descriptor is non-blocking.
//
// Readiness is edge-triggered and registered once (but for mute.go). The flags of an end say
// "worth trying"; EAGAIN or a short read clears them. The one trap: bytes and FIN
// may come in one event, so after a FIN was seen an end is read until it says EOF.
//
// A round that lasts stops all connections of its loop; watchdog.go tells of it, and
// gives up on a loop that does not come back.
//
// # Out of scope
//
// Names, apps, health and policy (package router and the control plane),
// certificates, and UDP.
package relay
