package compare

import (
	"crypto/tls"

	"sallyport/bench/load"
	"sallyport/bench/peers"
	"sallyport/bench/report"
)

// Growth is how the gateway's cost grows with connections and instances. No peer
// takes part: the same proxy with less is what it is compared with.
func Growth() Suite {
	own := []string{peers.Gateway}
	request := load.Options{Workload: load.Request, Size: small}
	connect := load.Options{Workload: load.Connect, Size: small, ReplySize: reply, Connections: 20}
	among := func(others int, w workload) workload {
		w.others = others
		return w
	}
	return Suite{Name: "growth", workloads: []workload{
		line("request-10", "passthrough, request/reply 64 B, 10 connections", report.Operation, conns(request, 10), own),
		line("request-1000", "the same, 1,000 connections", report.Operation, conns(request, 1000), own),
		line("request-8000", "the same, 8,000 connections", report.Operation, conns(request, 8000), own),
		among(10, line("connect-10-instances", "passthrough, connect, 64 B, reply of 100 B, close; 10 instances", report.Operation, connect, own)),
		among(100_000, line("connect-100000-instances", "the same, 100,000 instances", report.Operation, connect, own)),
		line("idle-passthrough-8000", "passthrough, 8,000 idle connections", report.Idle, idle(0, 8000), own),
		line("idle-terminated-8000", "terminated with TLS 1.3, 8,000 idle connections", report.Idle, idle(tls.VersionTLS13, 8000), own),
		line("idle-terminated-12-8000", "terminated with TLS 1.2, 8,000 idle connections", report.Idle, idle(tls.VersionTLS12, 8000), own),
	}}
}
