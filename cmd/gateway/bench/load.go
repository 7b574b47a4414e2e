package bench

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"time"

	"github.com/spf13/cobra"

	"sallyport/bench/load"
	"sallyport/cmd/gateway/cli"
	"sallyport/internal/certfile"
)

// loadFlags are the flags of bench load that are not Options as they stand.
type loadFlags struct {
	load.Options
	workload, tls, curve, ca, cpus string
	source                         string  // of attacks
	burst                          int     // of attacks
	bulkRate                       float64 // MB/s
	json                           bool
}

func newLoad() *cobra.Command {
	var f loadFlags
	cmd := &cobra.Command{
		Use:   "load --target HOST:PORT",
		Short: "Put load on a TLS gateway and measure it",
		Long: `load opens connections to a gateway and reports operations, latency and CPU time.

Without --tls it sends a real ClientHello and then bytes without TLS, for what a
gateway passes through to "gateway bench backend", which ignores the hello. With
--tls 1.2 or 1.3 it speaks TLS, for what the gateway terminates. Certificates are
verified only with --ca.

Workloads: request (send --size bytes, await as many), connect (connect, request,
reply, close; with TLS and --size 0 it ends after the handshake, which needs no
special backend), download, upload, idle, trickle, mixed (request beside
--bulk-connections downloads). With --rate, latency counts from when an operation
was meant to start. With --bulk-rate, downloads and uploads move no more than that:
otherwise they take all of the generator's own CPU, and requests beside them wait for it.

Attacks, on systems of your own: the target must be an address of this machine. They
need --sni and --rate, new connections a second, and have at most --connections at the
same time; keyupdate, tinyrecords and slowhello need --bulk-rate too. They report what
they did; a second "bench load" measures the effect on others.
  keyupdate    15 TLS KeyUpdates that ask for an answer, one byte of data, and again
  tinyrecords  TLS records of one byte
  slowhello    a ClientHello byte by byte, without its end
  silent       connects and sends nothing
  hold         a ClientHello, with --tls 1.3 a whole handshake, and then nothing
  refused      an unknown app, another domain, plain HTTP and a port that the instance refuses, in turn
  linger       the same, and keeps the connection open after the refusal
  churn        connects, has one request echoed, and closes first

Ctrl-C ends the measurement and prints the results so far; a second one ends it at once.
Exit code 1: the run failed, or no operation was completed.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.parse(); err != nil {
				return cli.Usage(err)
			}
			if f.isAttack() {
				o, err := f.attackOptions(cmd)
				if err != nil {
					return cli.Usage(err)
				}
				return runAttack(cmd, o, f.json)
			}
			if err := f.complete(); err != nil {
				return cli.Usage(err)
			}
			return runLoad(cmd, &f)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.Target, "target", "", "where to connect to, host:port")
	flags.StringVar(&f.ServerName, "sni", "", "server name (default: the target's host)")
	flags.StringVar(&f.workload, "workload", string(load.Request), "request, connect, download, upload, idle, trickle or mixed; or an attack")
	flags.StringVar(&f.source, "source", "", "the address of this machine that an attack comes from")
	flags.IntVar(&f.burst, "burst", 0, "bytes that keyupdate and tinyrecords write at once (default: what is due in 20 ms)")
	flags.StringVar(&f.tls, "tls", "", "speak TLS of this version, 1.2 or 1.3")
	flags.StringVar(&f.curve, "curve", "x25519", "key share: x25519 or x25519mlkem768")
	flags.StringVar(&f.ca, "ca", "", "verify certificates by this PEM file, or by the system's: \"system\"")
	flags.BoolVar(&f.Resume, "resume", false, "resume TLS sessions")
	flags.BoolVar(&f.Nagle, "nagle", false, "leave TCP_NODELAY off, as many clients do")
	flags.IntVar(&f.Connections, "connections", 50, "connections at the same time")
	flags.IntVar(&f.BulkConnections, "bulk-connections", 16, "downloads of the workload mixed")
	flags.IntVar(&f.Size, "size", 64, "bytes of a request")
	flags.IntVar(&f.ReplySize, "reply-size", 100, "bytes of a reply, of the workload connect")
	flags.DurationVar(&f.Interval, "interval", 25*time.Millisecond, "time between two messages of a trickle")
	flags.Float64Var(&f.Rate, "rate", 0, "operations a second, all connections together (default: as fast as they go)")
	flags.Float64Var(&f.bulkRate, "bulk-rate", 0, "MB a second, all downloads or uploads together (default: as fast as they go)")
	flags.DurationVar(&f.Duration, "duration", 10*time.Second, "how long to measure")
	flags.DurationVar(&f.Warmup, "warmup", time.Second, "how long to run before that")
	flags.IntVar(&f.Threads, "threads", 1, "event loops")
	flags.StringVar(&f.cpus, "cpu", "", "pin the event loops to these CPUs, such as 0,1")
	flags.IntVar(&f.PID, "pid", 0, "also measure this process: CPU, memory, descriptors")
	flags.BoolVar(&f.json, "json", false, "print the result as JSON, and no progress")
	return cmd
}

// parse reads what is written in words.
func (f *loadFlags) parse() error {
	f.Workload, f.BulkRate = load.Workload(f.workload), f.bulkRate*1e6
	versions := map[string]uint16{"": 0, "1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13}
	curves := map[string]tls.CurveID{"x25519": tls.X25519, "x25519mlkem768": tls.X25519MLKEM768}
	var ok bool
	if f.TLS, ok = versions[f.tls]; !ok {
		return fmt.Errorf("tls %q: want 1.2 or 1.3", f.tls)
	}
	if f.Curve, ok = curves[f.curve]; !ok {
		return fmt.Errorf("curve %q: want x25519 or x25519mlkem768", f.curve)
	}
	return nil
}

// complete makes Options of the flags and checks them.
func (f *loadFlags) complete() error {
	if f.source != "" || f.burst != 0 {
		return fmt.Errorf("source and burst: workload %s has none, attacks have", f.workload)
	}
	var err error
	if f.CPUs, err = parseCPUs(f.cpus); err != nil {
		return err
	}
	if f.Roots, err = readRoots(f.ca); err != nil {
		return fmt.Errorf("ca: %w", err)
	}
	return f.Check()
}

func runLoad(cmd *cobra.Command, f *loadFlags) error {
	if !f.json {
		f.Progress = func(p load.Progress) { fmt.Fprintln(cmd.ErrOrStderr(), p) }
	}
	// A loop that comes back from the kernel must not wait for the collector's P.
	runtime.GOMAXPROCS(max(runtime.GOMAXPROCS(0), f.Threads+1))
	ctx, giveUp := context.WithCancel(cmd.Context())
	defer giveUp()
	enough, stop := cli.UntilSignal(ctx, giveUp)
	defer stop()
	f.Stop = enough.Done()
	result, err := load.Run(ctx, f.Options)
	if err != nil {
		return err
	}
	if err := writeResult(cmd.OutOrStdout(), result, f.json); err != nil {
		return err
	}
	if result.Empty() {
		return fmt.Errorf("%s: not one operation ended", f.Target)
	}
	return nil
}

// readRoots reads the authorities of --ca; "" is nil, which verifies nothing.
func readRoots(ca string) (*x509.CertPool, error) {
	switch ca {
	case "":
		return nil, nil
	case "system":
		return x509.SystemCertPool()
	}
	return certfile.ReadRoots(ca)
}

// writeResult writes what a load or an attack has done.
func writeResult(w io.Writer, r interface{ Write(io.Writer) }, asJSON bool) error {
	if !asJSON {
		r.Write(w)
		return nil
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(r)
}
