// Package admin is the operators' HTTP server. It reports whether the gateway runs
// (/healthz), whether it can serve (/readyz), its instances and certificates (/status) and
// its counters (/metrics, for Prometheus).
//
// The server only reads and asks for no password, so it belongs on a loopback address or a
// management network. A caller that can reach it learns the names of apps and the amount of
// their traffic, but can stop nothing. Web pages in an operator's browser cannot reach it by
// a name of their own (host.go).
//
// Read server.go for the limits of every request, then checks.go for the meaning of
// "ready". The package gets checks and counters as values and imports no other part of the
// gateway.
package admin
