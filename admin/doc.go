// Package admin is the operators' window: an HTTP server that says whether the
// gateway lives (/healthz), whether it can serve (/readyz) and what it counts
// (/metrics, in the format of Prometheus).
//
// It only reads. It changes nothing, asks for no password and so belongs on a
// loopback address or an operators' network: whoever can reach it learns the
// names of apps and the amount of their traffic, but can stop nothing. Pages in an
// operator's browser cannot reach it by a name of theirs (host.go).
//
// Read server.go for the limits that every request is held to, then checks.go
// for what "ready" means. What is checked and counted comes from outside, as
// values: the package knows no other part of the gateway.
package admin
