// Package load is a load generator for whatever routes TLS by server name: a few
// event loops, thousands of connections, real ClientHellos and real TLS.
//
// It measures without flattering. Latency with a rate counts from when a request was
// meant to start, so a server that stalls is charged for the requests which waited
// for it. What one operation costs comes from the kernel's clocks, of the proxy and of the
// whole machine. And it costs little itself: no goroutine and no timer per connection.
// On one core, with the gateway of this repository on another, it took 7 to 8.5 µs for
// a request where the gateway took 12.5 to 15, 48 for a connection (75), 8 for a
// request over TLS (14.5). A full TLS 1.3 handshake costs a client as much as a server,
// 300 µs both: two X25519 multiplications and a signature to verify. Each summary has the cost.
//
// Every error is counted by its kind and reported; a run in which nothing works is an error.
// It refuses to follow names to more than one address, and to send anything but zeros;
// certificates are verified only if asked for.
//
// How to read it: [Run] in run.go goes through a run's phases, [Options] say what it
// does. loop.go is one thread, group.go the schedule, pace.go that of bulk, jobs.go the workloads, conn.go
// and tls.go one connection. result.go, failure.go and histogram.go
// are what is left at the end, summary.go prints it.
package load
