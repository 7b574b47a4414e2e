// Package load is a load generator for everything that routes TLS by server name: a few
// event loops, thousands of connections, real ClientHellos and real TLS.
//
// With a rate, latency counts from when a request was meant to start, so a server that
// stalls is charged for the requests that waited for it. The cost of one operation comes
// from the kernel's clocks, of the proxy and of the whole machine. The generator itself costs
// little: no goroutine and no timer per connection. On one core, with the gateway of this
// repository on another, it took 7 to 8.5 µs for a request where the gateway took 12.5 to
// 15, 48 for a connection (75), 8 for a request over TLS (14.5). A full TLS 1.3 handshake
// costs a client as much as a server, 300 µs both: two X25519 multiplications and a signature
// to verify. Each summary has the cost.
//
// Every error is counted by its kind and reported; a run in which nothing works is an error.
// The package follows names to one address only, sends only zeros, and verifies certificates
// only on request.
//
// Read [Run] in run.go first, which goes through a run's phases, and [Options]. loop.go is
// one thread, group.go the schedule, pace.go that of bulk, jobs.go the workloads, conn.go and
// tls.go one connection. result.go, failure.go and histogram.go are the results, summary.go
// prints them.
package load
