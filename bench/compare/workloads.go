package compare

import (
	"crypto/tls"
	"time"

	"sallyport/bench/load"
	"sallyport/bench/peers"
	"sallyport/bench/report"
)

// A workload is one line of the comparison.
type workload struct {
	report.Workload
	load   load.Options
	forms  []string // those that take part: forms that only repeat another one do not
	share  float64  // of the best peer's peak that is the rate; 0: as fast as it goes
	others int      // registered instances, which get no traffic
	settle int      // warm-ups until it is steady; 0: one
}

// Sizes of requests and replies in bytes.
const (
	small = 64
	reply = 100
)

// Comparison is every workload that peers take part in. Each is named where a goal
// speaks of it (report.Goals).
func Comparison() Suite {
	var (
		all       = []string{peers.Gateway, peers.HAProxy, peers.HAProxySplice, peers.HAProxyPipes, peers.Nginx, peers.NginxBuffers}
		forms     = []string{peers.Gateway, peers.HAProxy, peers.HAProxyPipes, peers.Nginx}
		plain     = []string{peers.Gateway, peers.HAProxy, peers.Nginx}
		bulk      = []string{peers.Gateway, peers.HAProxy, peers.HAProxyPipes, peers.Nginx, peers.NginxBuffers}
		tlsBulk   = []string{peers.Gateway, peers.HAProxy, peers.Nginx, peers.NginxBuffers} // TLS is not spliced
		request   = load.Options{Workload: load.Request, Size: small}
		connect   = load.Options{Workload: load.Connect, Size: small, ReplySize: reply, Connections: 20}
		download  = load.Options{Workload: load.Download, Size: small}
		handshake = load.Options{Workload: load.Connect, Size: small, ReplySize: reply, Connections: 16, TLS: tls.VersionTLS13}
		tls13     = load.Options{Workload: load.Request, Size: small, TLS: tls.VersionTLS13}
	)
	return Suite{Name: "compare", workloads: []workload{
		line(report.PassRequest50, "passthrough, request/reply 64 B, 50 connections", report.Operation, conns(request, 50), all),
		line(report.PassRequest1000, "passthrough, request/reply 64 B, 1,000 connections", report.Operation, conns(request, 1000), forms),
		line(report.PassConnect, "passthrough, connect, 64 B, reply of 100 B, close", report.Operation, connect, forms),
		line(report.PassBulk1, "passthrough, bulk down, 1 connection", report.Gigabyte, conns(download, 1), all),
		line(report.PassBulk16, "passthrough, bulk down, 16 connections", report.Gigabyte, conns(download, 16), all),
		// As fast as it goes, a proxy that moves more pays more for each byte: the smaller are the
		// pieces. At one rate for all, which each of them keeps, bytes cost what they cost.
		{
			Workload: report.Workload{Name: report.PassEvenBulk, Title: "passthrough, bulk down, 16 connections, 800 MB/s in all", Unit: report.Gigabyte},
			load:     load.Options{Workload: load.Download, Size: small, Connections: 16, BulkRate: 800e6}, forms: bulk, settle: 2,
		},
		line(report.PassUpload16, "passthrough, bulk up, 16 connections", report.Gigabyte, conns(load.Options{Workload: load.Upload, Size: small}, 16), bulk),
		line(report.TLSFull, "terminated, connection with a full TLS 1.3 handshake, 64 B, reply of 100 B", report.Operation, handshake, plain),
		line(report.TLSResumed, "terminated, connection with a resumed TLS 1.3 handshake, 64 B, reply of 100 B", report.Operation, resumed(handshake), plain),
		// Clients that leave TCP_NODELAY off send their request when the server has acknowledged
		// their Finished. Without an answer that is TCP's delayed ACK, 40 ms later.
		line(report.TLSFullNagle, "terminated, the same with a full handshake, clients without TCP_NODELAY", report.Operation, nagle(handshake), plain),
		line(report.TLSResumedNagle, "terminated, the same with a resumed handshake, clients without TCP_NODELAY", report.Operation, nagle(resumed(handshake)), plain),
		line(report.TLSRequest32, "terminated, request/reply 64 B, 32 connections", report.Operation, conns(tls13, 32), plain),
		line(report.TLSBulk16, "terminated, bulk down, 16 connections", report.Gigabyte,
			load.Options{Workload: load.Download, Size: small, Connections: 16, TLS: tls.VersionTLS13}, tlsBulk),
		{
			Workload: report.Workload{Name: report.PassPaced, Title: "passthrough, request/reply 64 B, 50 connections, at 70 % of the best peer's peak", Unit: report.Operation},
			load:     conns(request, 50), forms: forms, share: 0.7,
		},
		// What most gateways do most of the time: little. What the cost of a wake-up is shows here.
		line(report.PassSparse, "passthrough, request/reply 64 B, 50 connections, 2,000 a second in all", report.Operation,
			load.Options{Workload: load.Request, Size: small, Connections: 50, Rate: 2000}, plain),
		// Below what any peer can move on a CPU (nginx with its default buffers: 2 GB/s), so
		// that the requests wait for the proxy and not for the generator.
		// When the downloads begin, every buffer on their way fills at once. That flood is
		// over after a second; the line asks for what comes then.
		{
			Workload: report.Workload{Name: report.PassMixed, Title: "passthrough, 2,000 requests/s of 64 B on 16 connections, beside 320 MB/s over 16 downloads", Unit: report.Operation},
			load:     load.Options{Workload: load.Mixed, Size: small, Connections: 16, BulkConnections: 16, Rate: 2000, BulkRate: 320e6},
			forms:    bulk, settle: 4,
		},
		// A message costs generator and backend 16 to 22 µs. Every 100 ms took 88 % of their
		// CPU, and the latency was that of their queue.
		line(report.PassTrickle, "passthrough, 64 B every 200 ms to each of 4,000 connections", report.Operation,
			load.Options{Workload: load.Trickle, Size: small, Connections: 4000, Interval: 200 * time.Millisecond}, plain),
		line(report.PassIdle, "passthrough, 5,000 idle connections", report.Idle, idle(0, 5000), plain),
		line(report.TLSIdle, "terminated, 5,000 idle connections", report.Idle, idle(tls.VersionTLS13, 5000), plain),
	}}
}

func line(name, title string, unit report.Unit, o load.Options, forms []string) workload {
	return workload{Workload: report.Workload{Name: name, Title: title, Unit: unit}, load: o, forms: forms}
}

func conns(o load.Options, n int) load.Options {
	o.Connections = n
	return o
}

func resumed(o load.Options) load.Options {
	o.Resume = true
	return o
}

func nagle(o load.Options) load.Options {
	o.Nagle = true
	return o
}

func idle(version uint16, n int) load.Options {
	return load.Options{Workload: load.Idle, Size: small, TLS: version, Connections: n}
}
