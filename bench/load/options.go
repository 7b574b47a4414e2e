package load

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"sallyport/bench/backend"
)

// A Workload is what the connections of a run do.
type Workload string

// The workloads. All but Connect need package backend at the far end, or for
// Request and Idle anything that echoes.
const (
	// Request sends Size bytes, waits for as many, and starts again.
	Request Workload = "request"
	// Connect connects, sends Size bytes, reads a reply of ReplySize until EOF, and
	// starts again. With Size 0 it ends when TLS is up: any server will do.
	Connect Workload = "connect"
	// Download and Upload move bytes one way, as fast as they go or at BulkRate.
	Download Workload = "download"
	Upload   Workload = "upload"
	// Idle opens connections, makes one request on each and then leaves them alone.
	Idle Workload = "idle"
	// Trickle receives Size bytes each Interval on each connection.
	Trickle Workload = "trickle"
	// Mixed is Request beside BulkConnections that download.
	Mixed Workload = "mixed"
)

// Workloads are all of them.
var Workloads = [...]Workload{Request, Connect, Download, Upload, Idle, Trickle, Mixed}

// Options say what a run does. Check completes and checks them. Their JSON form is for
// another process of the same program: it has no authorities and no functions.
type Options struct {
	Target     string // host:port
	ServerName string // SNI; default the host of Target

	// TLS is the version that is spoken, tls.VersionTLS12 or 13. 0 sends a real
	// ClientHello and then speaks none: for what is passed through to a backend that
	// ignores the hello.
	TLS   uint16
	Curve tls.CurveID // the only key share; default X25519
	// Resume gives every connection but the first a ticket.
	Resume bool
	// Nagle leaves TCP_NODELAY off, as clients of OpenSSL and Python do that do not ask for
	// it. Go, browsers and curl turn it on.
	Nagle bool
	// Roots verify the target's certificates. Nil verifies none: that costs only the generator.
	Roots *x509.CertPool `json:"-"`

	Workload        Workload
	Connections     int           // default 1; of Connect: that are open at the same time
	BulkConnections int           // of Mixed; default 16
	Size            int           // bytes of a request or a trickled message
	ReplySize       int           // of Connect
	Interval        time.Duration // of Trickle; default 25ms
	// Rate is operations a second, of Request, Connect and Mixed. An operation that has to
	// wait because the server is slow is late from when it was meant to start. 0 starts
	// the next one when one has ended.
	Rate float64
	// BulkRate is bytes a second of all bulk connections together, of Download, Upload and
	// Mixed; each has an equal share. They read or write no more than is due. With TLS a
	// download counts what comes in records. 0 is as fast as they go.
	BulkRate float64

	Warmup   time.Duration // before what is counted; default 0
	Duration time.Duration // of what is counted; default 10s
	Threads  int           // event loops; default 1
	CPUs     []int         // the loops are pinned to these in turn; none: not pinned

	// Endure goes on whatever fails once the requests may begin: for a target that is under
	// attack. Otherwise many failures in a row end the run. It needs a Rate.
	Endure bool
	// Started is called once, when every connection is up and the requests begin. Nil is not.
	Started func() `json:"-"`
	// Within calls what runs on a loop's thread, such as in a network namespace. Nil: as it is.
	Within func(func() error) error `json:"-"`

	// Stop ends the counting early when it is closed; there is a result if it had begun.
	// Nil never does.
	Stop <-chan struct{} `json:"-"`
	// PID is a process on this machine that is metered during Duration, with its
	// children: the proxy. 0 is none.
	PID int
	// Progress is called each second, by one goroutine. Nil is none.
	Progress func(Progress) `json:"-"`
}

// Bounds of a run.
const (
	maxConnections = 1 << 20
	maxRate        = 10e6
	maxBulkRate    = 1e12
	maxDuration    = 24 * time.Hour
	maxThreads     = 256
)

// Check fills in the defaults and says what is wrong.
func (o *Options) Check() error {
	o.complete()
	host, _, err := net.SplitHostPort(o.Target)
	if err != nil {
		return fmt.Errorf("target %q: want HOST:PORT", o.Target)
	}
	if o.ServerName == "" {
		o.ServerName = host
	}
	var known bool
	for _, w := range Workloads {
		known = known || w == o.Workload
	}
	minSize := 1
	switch o.Workload {
	case Connect:
		minSize = 0
		if o.Size > 0 {
			minSize = backend.CommandSize
		}
	case Trickle:
		minSize = backend.TrickleHeader
	default:
	}
	paced := o.Workload == Request || o.Workload == Connect || o.Workload == Mixed
	bulk := o.Workload == Download || o.Workload == Upload || o.Workload == Mixed
	switch {
	case !known:
		return fmt.Errorf("workload %q: want one of %s", o.Workload, wordsOf(Workloads[:]))
	case o.TLS != 0 && o.TLS != tls.VersionTLS12 && o.TLS != tls.VersionTLS13:
		return fmt.Errorf("TLS version %#x: want 1.2 or 1.3", o.TLS)
	case o.TLS == tls.VersionTLS12 && o.Curve == tls.X25519MLKEM768:
		return errors.New("X25519MLKEM768 needs TLS 1.3")
	case (o.Resume || o.Roots != nil) && o.TLS == 0:
		return errors.New("resumption and the verification of certificates need TLS (--tls)")
	case o.Workload == Connect && o.Size == 0 && o.TLS == 0:
		return errors.New("connect with size 0 needs TLS: it would not even send the hello")
	case o.Connections < 1 || o.Connections > maxConnections:
		return fmt.Errorf("connections %d: want 1 to %d", o.Connections, maxConnections)
	case o.BulkConnections < 1 || o.BulkConnections > maxConnections:
		return fmt.Errorf("bulk connections %d: want 1 to %d", o.BulkConnections, maxConnections)
	case o.Size < minSize || o.Size > backend.MaxSize:
		return fmt.Errorf("size %d: want %d to %d", o.Size, minSize, backend.MaxSize)
	case o.ReplySize < 0 || o.ReplySize > backend.MaxSize:
		return fmt.Errorf("reply size %d: want 0 to %d", o.ReplySize, backend.MaxSize)
	case o.Interval < backend.MinInterval || o.Interval > backend.MaxInterval:
		return fmt.Errorf("interval %s: want %s to %s", o.Interval, backend.MinInterval, backend.MaxInterval)
	case !(o.Rate >= 0 && o.Rate <= maxRate):
		return fmt.Errorf("rate %g: want 0 to %.0f", o.Rate, maxRate)
	case o.Rate > 0 && !paced:
		return fmt.Errorf("rate: workload %s has none", o.Workload)
	case o.Endure && o.Rate == 0:
		return errors.New("a run that endures failures needs a rate: it would fail as fast as it can")
	case !(o.BulkRate >= 0 && o.BulkRate <= maxBulkRate):
		return fmt.Errorf("bulk rate %g: want 0 to %.0f bytes a second", o.BulkRate, maxBulkRate)
	case o.BulkRate > 0 && !bulk:
		return fmt.Errorf("bulk rate: workload %s has no bulk", o.Workload)
	case o.Warmup < 0 || o.Warmup > maxDuration || o.Duration <= 0 || o.Duration > maxDuration:
		return fmt.Errorf("duration %s and warm-up %s: want up to %s each", o.Duration, o.Warmup, maxDuration)
	case o.Threads < 1 || o.Threads > min(maxThreads, o.Connections):
		return fmt.Errorf("threads %d: want 1 to %d, and not more than connections", o.Threads, maxThreads)
	}
	return nil
}

// wordsOf lists workloads in a sentence.
func wordsOf(list []Workload) string {
	words := make([]string, len(list))
	for i, w := range list {
		words[i] = string(w)
	}
	return strings.Join(words, ", ")
}

func (o *Options) complete() {
	orInt := func(v *int, def int) {
		if *v == 0 {
			*v = def
		}
	}
	orInt(&o.Connections, 1)
	orInt(&o.BulkConnections, 16)
	orInt(&o.Threads, 1)
	if o.Started == nil {
		o.Started = func() {}
	}
	if o.Within == nil {
		o.Within = func(f func() error) error { return f() }
	}
	if o.Curve == 0 {
		o.Curve = tls.X25519
	}
	if o.Interval == 0 {
		o.Interval = 25 * time.Millisecond
	}
	if o.Duration == 0 {
		o.Duration = 10 * time.Second
	}
}
