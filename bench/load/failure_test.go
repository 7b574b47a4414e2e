package load

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sallyport/internal/gwtest"
)

// answer is what a good server of the workload connect does, without TLS.
func answer(c net.Conn) {
	var b [64]byte
	if passHello(c) != nil {
		return
	}
	if _, err := io.ReadFull(c, b[:]); err == nil {
		_, _ = c.Write(b[:])
	}
}

// Every second connection fails: the others go on, and the failures are counted and named.
func TestFailuresAreCountedAndNamed(t *testing.T) {
	for kind, bad := range map[Kind]func(net.Conn){
		Closed: func(c net.Conn) { _ = passHello(c); _, _ = io.ReadFull(c, make([]byte, 64)) },
		Reset: func(c net.Conn) {
			_ = passHello(c)
			_, _ = io.ReadFull(c, make([]byte, 64))
			_ = c.(*net.TCPConn).SetLinger(0)
		},
		Reply: func(c net.Conn) {
			_ = passHello(c)
			_, _ = io.ReadFull(c, make([]byte, 64))
			_, _ = c.Write(make([]byte, 65))
		},
		Alert: func(c net.Conn) {
			_ = passHello(c)
			_, _ = io.ReadFull(c, make([]byte, 64))
			_, _ = c.Write([]byte{21, 3, 3, 0, 2, 2, 112})
		},
	} {
		t.Run(string(kind), func(t *testing.T) {
			var n, failed atomic.Int64
			target := serve(t, func(c net.Conn) {
				if n.Add(1)%2 == 0 {
					failed.Add(1)
					bad(c)
					return
				}
				answer(c)
			})
			r := mustRun(t, Options{Target: target, Workload: Connect, Size: 64, ReplySize: 64, Connections: 2, Duration: 200 * time.Millisecond})
			isCounted(t, r, kind, failed.Load())
		})
	}
}

func isCounted(t *testing.T, r *Result, kind Kind, failed int64) {
	t.Helper()
	if len(r.Failures) != 1 || r.Failures[0].Kind != kind || r.Operations == 0 {
		t.Fatalf("%d operations, failures %+v", r.Operations, r.Failures)
	}
	if n := int64(r.Errors); n > failed || n < failed-int64(r.Connections) || r.Failures[0].Count != r.Errors {
		t.Errorf("%d errors, %+v; the server made %d", n, r.Failures, failed)
	}
	var text strings.Builder
	r.Write(&text)
	if want := fmt.Sprintf("error       %s, %s: ", kind, times(r.Errors)); !strings.Contains(text.String(), want) {
		t.Errorf("%q is not in the summary:\n%s", want, &text)
	}
}

func TestFailuresOfTLSAreNamed(t *testing.T) {
	ca, other := gwtest.NewCA(t), gwtest.NewCA(t)
	for kind, bad := range map[Kind]*tls.Config{
		Certificate: {Certificates: []tls.Certificate{other.Server(t, "app.gw.test")}},
		Alert:       {Certificates: []tls.Certificate{ca.Server(t, "app.gw.test")}, MinVersion: tls.VersionTLS13, CurvePreferences: []tls.CurveID{tls.CurveP384}},
		Handshake:   nil,
	} {
		t.Run(string(kind), func(t *testing.T) {
			good := &tls.Config{Certificates: []tls.Certificate{ca.Server(t, "app.gw.test")}}
			var n, failed atomic.Int64
			target := serve(t, func(c net.Conn) {
				config := good
				if n.Add(1)%2 == 0 {
					failed.Add(1)
					config = bad
				}
				if config == nil {
					_ = passHello(c)
					_, _ = io.WriteString(c, "HTTP/1.0 400 Bad Request\r\n\r\n")
					_, _ = io.Copy(io.Discard, c)
					return
				}
				_ = tls.Server(c, config).HandshakeContext(t.Context())
				_, _ = io.Copy(io.Discard, c)
			})
			r := mustRun(t, Options{Target: target, TLS: tls.VersionTLS13, Roots: ca.Pool(), Workload: Connect, Connections: 2, Duration: 300 * time.Millisecond})
			isCounted(t, r, kind, failed.Load())
		})
	}
}

func TestRunWithoutSuccessTellsWhatFailed(t *testing.T) {
	target := serve(t, func(c net.Conn) {
		_ = passHello(c)
		_, _ = c.Write([]byte{21, 3, 3, 0, 2, 2, 112})
	})
	for _, w := range []Workload{Request, Connect} {
		_, err := Run(t.Context(), Options{Target: target, Workload: w, Size: 64, Connections: 2, Duration: 10 * time.Second})
		if alert := tls.AlertError(0); !errors.As(err, &alert) || alert != 112 {
			t.Errorf("%s: %v", w, err)
		}
	}
}

// What fails for good is endured where that is wanted, and reported: as failures, and as
// operations that did not end.
func TestTargetThatFailsIsEndured(t *testing.T) {
	var fails atomic.Bool
	target := serve(t, func(c net.Conn) {
		if passHello(c) != nil {
			return
		}
		echo(c, func() {
			if fails.Load() {
				c.Close()
			}
		})
	})
	for _, w := range []Workload{Request, Connect} {
		fails.Store(false)
		var started atomic.Int64
		o := Options{Target: target, Workload: w, Size: 64, ReplySize: 64, Connections: 4, Rate: 2000, Endure: true, Duration: time.Second}
		o.Started = func() {
			started.Add(1)
			fails.Store(true)
		}
		r := mustRun(t, o)
		if started.Load() != 1 {
			t.Errorf("%s: started %d times", w, started.Load())
		}
		if r.Failed == 0 || w == Request && (r.Errors > 4 || r.Unended == 0) {
			t.Errorf("%s: %d errors, %d of them while it was measured, %d unended", w, r.Errors, r.Failed, r.Unended)
		}
	}
}

func TestErrorsHaveTheirKind(t *testing.T) {
	for _, test := range []struct {
		err  error
		want Kind
	}{
		{fmt.Errorf("connect: %w", unix.ECONNREFUSED), Refused},
		{fmt.Errorf("write: %w", unix.EPIPE), Reset},
		{handshakeError{unix.ECONNRESET}, Reset},
		{fmt.Errorf("connect: %w", unix.ETIMEDOUT), TimedOut},
		{unix.EMFILE, Local},
		{handshakeError{io.EOF}, Closed},
		{handshakeError{errors.New("garbage")}, Handshake},
		{errors.New("new"), Other},
	} {
		if got := kindOf(test.err); got != test.want {
			t.Errorf("%v is %q, want %q", test.err, got, test.want)
		}
	}
}
