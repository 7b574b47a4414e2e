// Package relay moves bytes between clients and backends. It accepts a connection, reads
// its ClientHello, asks a Route function for a decision, and then either ends the client's
// TLS or passes the stream through to the first backend that it can connect to. It knows no
// apps and no certificates: the decision carries everything that it needs.
//
// # A connection's way
//
//	accept.go       a descriptor becomes a conn; limits (source.go: per source of clients);
//	                what to do without descriptors
//	coro.go         the first byte starts a coroutine, in which setup.go runs:
//	proxyheader.go    PROXY header, from senders that must send one
//	postgres.go       PostgreSQL's SSLRequest
//	readhello.go      the ClientHello
//	setup.go          the decision (lookup.go: a decision that has to wait)
//	dial.go           connect to a candidate, hedged (dialer.go: without a kernel route,
//	                  over a bridge.go; localport: from which local port;
//	                  dialtls.go: re-encrypted, if its certificate is accepted;
//	                  bind.go: only through the tunnel)
//	tls.go            TLS handshake, if TLS ends here (wire.go: what crypto/tls reads and writes)
//	ticket.go           its last flight, for clients without TCP_NODELAY
//	earlydata.go      … of a client that offers 0-RTT data
//	preface.go        what the backend must get first
//	flow.go         relayed: each direction copies …
//	splice.go       … or splices (package buffer: chunks, pipes and their quota)
//	mute.go         a sender that is ahead of its receiver does not wake the loop
//	tlsflow.go      … or encrypts and decrypts (retls.go: both, on either side), in turns
//	                  (turn.go) that bound the work of crypto/tls for one peer
//	refuse.go       or it was refused: an alert, and time to read it
//	evict.go        or it is ended from outside: its backend is gone, or the gateway stops
//	part.go         or it broke off: the remaining side gets RST after everything sent before
//	end.go          the end: exactly one Reason (reason.go), one count
//	report.go       … and one line in the log, unless there are too many
//
// # Threads
//
// A loop (loop.go, which waits in poll.go) is one goroutine locked to its thread. Only that
// thread touches its connections, timers (timers.go; idle.go), chunks and pipes, without a
// lock. Setup is a coroutine on the same thread: straight-line code that yields where it
// must wait. A connection that is set up is a small struct that readiness events drive.
// Other goroutines reach a loop through its inbox (package inbox). The hot path's system calls
// are raw (internal/nonblock), which is correct only because every descriptor is non-blocking.
//
// Readiness is edge-triggered and registered once (except for mute.go). The flags of an end
// mean "worth trying"; EAGAIN or a short read clears them. There is one trap: bytes and FIN
// may come in one event, so after a FIN an end is read until it returns EOF.
//
// A long round stops all connections of its loop. watchdog.go reports it, and gives up on a
// loop that does not come back.
//
// # Out of scope
//
// Names, apps, health and policy (package router and the control plane), certificates, and
// UDP.
package relay
