package report

import "sallyport/bench/peers"

// The names of the workloads that goals speak of.
const (
	PassRequest50   = "passthrough-request-50"
	PassRequest1000 = "passthrough-request-1000"
	PassConnect     = "passthrough-connect"
	PassBulk1       = "passthrough-bulk-1"
	PassBulk16      = "passthrough-bulk-16"
	PassEvenBulk    = "passthrough-bulk-16-even"
	PassUpload16    = "passthrough-upload-16"
	PassPaced       = "passthrough-request-70-percent"
	PassSparse      = "passthrough-request-2000-a-second"
	PassMixed       = "passthrough-request-beside-bulk"
	PassIdle        = "passthrough-idle"
	PassTrickle     = "passthrough-trickle-4000"
	TLSFull         = "terminated-handshake-full"
	TLSResumed      = "terminated-handshake-resumed"
	TLSFullNagle    = "terminated-handshake-full-nagle"
	TLSResumedNagle = "terminated-handshake-resumed-nagle"
	TLSRequest32    = "terminated-request-32"
	TLSBulk16       = "terminated-bulk-16"
	TLSIdle         = "terminated-idle"
)

// BareTunnel takes a proxy's place where the load went past the gateway, into its
// tunnel.
const BareTunnel = "bare-tunnel"

// A Goal is a figure of the gateway that shall not be larger than Limit, or than
// Limit times that of Against.
type Goal struct {
	Workload string
	Metric   Metric
	Limit    float64
	Against  string // a peer's form, BestPeer, or Nobody: then Limit is absolute
}

// What a goal may be held against.
const (
	BestPeer = "the best peer"
	Nobody   = ""
)

// Goals are what the gateway shall reach, with all proxies on one thread and one
// default configuration of its own.
func Goals() []Goal {
	return []Goal{
		{PassRequest50, CPUPerUnit, 0.93, BestPeer},
		{PassRequest1000, CPUPerUnit, 0.93, BestPeer},
		{PassConnect, CPUPerUnit, 0.95, BestPeer},
		{PassBulk1, CPUPerUnit, 1.00, peers.HAProxyPipes},
		{PassBulk1, CPUPerUnit, 0.45, peers.HAProxy},
		{PassBulk16, CPUPerUnit, 1.00, peers.HAProxyPipes},
		{PassBulk16, CPUPerUnit, 0.45, peers.HAProxy},
		{PassEvenBulk, CPUPerUnit, 1.00, peers.HAProxyPipes},
		{TLSFull, CPUPerUnit, 0.80, BestPeer},
		{TLSResumed, CPUPerUnit, 0.80, BestPeer},
		{TLSFullNagle, P50, 1.00, BestPeer},
		{TLSResumedNagle, P50, 1.00, BestPeer},
		{TLSRequest32, CPUPerUnit, 1.00, BestPeer},
		{TLSBulk16, CPUPerUnit, 0.80, BestPeer},
		{PassPaced, P99, 1.00, BestPeer},
		{PassSparse, CPUPerUnit, 1.00, BestPeer},
		{PassMixed, P99, 1.00, BestPeer},
		{PassIdle, RSS, 600, Nobody},
		{PassIdle, Descriptors, 2.05, Nobody},
		{TLSIdle, RSS, 10_000, Nobody},
		{PassRequest50, UserShare, 6, Nobody},
		{PassTrickle, CPUPerUnit, 1.00, BestPeer},
		{PassTrickle, P99, 1000, Nobody},
	}
}
