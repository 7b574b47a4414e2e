// Package load is a load generator for whatever routes TLS by server name: a few
// event loops, thousands of connections, real ClientHellos and real TLS.
//
// It measures without flattering. Latency with a rate counts from when a request was
// meant to start, so a server that stalls is charged for the requests which waited
// for it. What one operation costs comes from the kernel's clocks, of the proxy and of the
// whole machine. And it costs little itself: no goroutine and no timer per connection.
//
// Every error is counted by its kind and told; a run in which nothing works is an error.
// It refuses to follow names to more than one address, and to send anything but zeros;
// certificates are verified only if asked for.
//
// How to read it: [Run] in run.go goes through a run's phases, [Options] say what it
// does. loop.go is one thread, group.go the schedule, jobs.go the workloads, conn.go
// and tls.go one connection. result.go, failure.go and histogram.go
// are what is left at the end, summary.go tells it.
package load
