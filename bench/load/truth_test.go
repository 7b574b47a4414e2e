package load

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sallyport/internal/gwtest"

	"golang.org/x/sys/unix"
)

// serve answers each connection by handle until the test ends. It is written in the
// plainest way, unlike the backend, so that the two do not share an error.
func serve(t *testing.T, handle func(net.Conn)) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() {
		ln.Close()
		<-done
	})
	go func() {
		defer close(done)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				c.SetDeadline(time.Now().Add(time.Minute))
				handle(c)
			}()
		}
	}()
	return ln.Addr().String()
}

// passHello reads the record that the hello is in.
func passHello(c net.Conn) error {
	var head [5]byte
	if _, err := io.ReadFull(c, head[:]); err != nil {
		return err
	}
	_, err := io.CopyN(io.Discard, c, int64(head[3])<<8|int64(head[4]))
	return err
}

// echo answers requests of 64 bytes, each after wait.
func echo(c net.Conn, wait func()) {
	var b [64]byte
	for {
		if _, err := io.ReadFull(c, b[:]); err != nil {
			return
		}
		wait()
		if _, err := c.Write(b[:]); err != nil {
			return
		}
	}
}

func mustRun(t *testing.T, o Options) *Result {
	t.Helper()
	o.ServerName = "app.gw.test"
	r, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestDelayOfTheServerIsReported(t *testing.T) {
	const delay = 20 * time.Millisecond
	target := serve(t, func(c net.Conn) {
		if passHello(c) == nil {
			echo(c, func() { <-time.After(delay) })
		}
	})
	r := mustRun(t, Options{Target: target, Workload: Request, Size: 64, Connections: 4, Duration: 300 * time.Millisecond})
	if r.Latency.Count == 0 || r.Latency.Min < 20_000 {
		t.Errorf("the fastest of %d took %.0f µs, the server waits 20,000", r.Latency.Count, r.Latency.Min)
	}
	if most := 4 * (r.Seconds/delay.Seconds() + 1); float64(r.Operations) > most {
		t.Errorf("%d operations, 4 connections can have %.0f", r.Operations, most)
	}
}

// A server that stalls once for 300 ms delays some 300 of the requests that were
// meant to be sent meanwhile, of which each is late by what was left of the stall.
// Counting from when they were sent would show one.
func TestStallIsChargedToEveryRequestThatWaited(t *testing.T) {
	var requests atomic.Int64
	target := serve(t, func(c net.Conn) {
		if passHello(c) != nil {
			return
		}
		echo(c, func() {
			if requests.Add(1) == 100 {
				<-time.After(300 * time.Millisecond)
			}
		})
	})
	r := mustRun(t, Options{Target: target, Workload: Request, Size: 64, Connections: 1, Rate: 1000, Duration: time.Second})
	if r.Latency.P90 < 150_000 {
		t.Errorf("p90 is %.0f µs: a fifth of the requests waited for 100,000 and more", r.Latency.P90)
	}
}

func TestServerThatStopsAnsweringIsNotFlattered(t *testing.T) {
	var requests atomic.Int64
	target := serve(t, func(c net.Conn) {
		if passHello(c) != nil {
			return
		}
		echo(c, func() {
			if requests.Add(1) > 10 {
				<-t.Context().Done()
			}
		})
	})
	r := mustRun(t, Options{Target: target, Workload: Request, Size: 64, Connections: 2, Rate: 1000, Duration: 500 * time.Millisecond})
	if r.Unended < 450 || r.Latency.P50 < 200_000 {
		t.Errorf("%d unended, p50 %.0f µs", r.Unended, r.Latency.P50)
	}
}

func TestRateIsKept(t *testing.T) {
	var requests atomic.Int64
	target := serve(t, func(c net.Conn) {
		if passHello(c) == nil {
			echo(c, func() { requests.Add(1) })
		}
	})
	began := time.Now()
	mustRun(t, Options{Target: target, Workload: Request, Size: 64, Connections: 8, Rate: 500, Duration: 500 * time.Millisecond})
	took := time.Since(began).Seconds() // more than the half second where the machine is busy
	if n := requests.Load(); float64(n) > 500*took+1 {
		t.Errorf("%d requests in %.2f s at 500 a second", n, took)
	}
}

func TestTLS(t *testing.T) {
	ca := gwtest.NewCA(t)
	config := &tls.Config{Certificates: []tls.Certificate{ca.Server(t, "app.gw.test")}}
	for name, o := range map[string]Options{
		"1.2":            {TLS: tls.VersionTLS12},
		"1.3":            {TLS: tls.VersionTLS13},
		"X25519MLKEM768": {TLS: tls.VersionTLS13, Curve: tls.X25519MLKEM768},
		"1.2 resumed":    {TLS: tls.VersionTLS12, Resume: true},
		"1.3 resumed":    {TLS: tls.VersionTLS13, Resume: true},
	} {
		t.Run(name, func(t *testing.T) {
			type seen struct {
				version uint16
				curve   tls.CurveID
				name    string
			}
			var last atomic.Pointer[seen]
			target := serve(t, func(c net.Conn) {
				s := tls.Server(c, config)
				if s.HandshakeContext(t.Context()) != nil {
					return
				}
				st := s.ConnectionState()
				last.Store(&seen{st.Version, st.CurveID, st.ServerName})
				var b [64]byte
				if _, err := io.ReadFull(s, b[:]); err == nil {
					_, _ = s.Write(b[:])
				}
				_ = s.CloseWrite()
			})
			o.Target, o.Workload, o.Connections, o.Size, o.ReplySize = target, Connect, 2, 64, 64
			o.Duration = 300 * time.Millisecond
			r := mustRun(t, o)
			if r.Operations == 0 || r.Errors > 0 {
				t.Fatalf("%d operations, %d errors: %s", r.Operations, r.Errors, r.FirstError)
			}
			if (r.Resumed > 0) != o.Resume || o.Resume && r.Resumed+10 < r.Handshakes {
				t.Errorf("%d of %d handshakes resumed", r.Resumed, r.Handshakes)
			}
			curve := o.Curve
			if curve == 0 {
				curve = tls.X25519
			}
			if s := last.Load(); s.version != o.TLS || s.name != "app.gw.test" || s.curve != curve {
				t.Errorf("the server saw %+v", s)
			}
		})
	}
}

func TestServerThatHangsUpEndsTheRun(t *testing.T) {
	target := serve(t, func(net.Conn) {})
	r, err := Run(t.Context(), Options{Target: target, Workload: Request, Size: 64, Connections: 4, Duration: 10 * time.Second})
	if err == nil {
		t.Errorf("no error, but %+v", r)
	}
}

func TestNobodyListensIsAnError(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	for _, w := range []Workload{Request, Connect} {
		if r, err := Run(t.Context(), Options{Target: ln.Addr().String(), Workload: w, Size: 64, Duration: 10 * time.Second}); err == nil {
			t.Errorf("%s: no error, but %+v", w, r)
		}
	}
}

// The other end of a connection on loopback is in this process: what the kernel says of
// it is what was asked for.
func TestNagleIsLeftOnForWhomItIsWanted(t *testing.T) {
	for _, nagle := range []bool{false, true} {
		var once sync.Once // later ones may be under way when the client is closed
		var got bool
		seen := make(chan struct{})
		target := serve(t, func(c net.Conn) {
			if passHello(c) != nil {
				return
			}
			echo(c, func() {
				once.Do(func() {
					got = delayed(t, c)
					close(seen)
				})
			})
		})
		_, err := Run(t.Context(), Options{Target: target, Workload: Request, Size: 64, Nagle: nagle, Duration: time.Minute, Stop: seen})
		if err != nil && !errors.Is(err, errStopped) {
			t.Fatal(err)
		}
		if <-seen; got != nagle {
			t.Errorf("Nagle wanted: %v, in the kernel: %v", nagle, got)
		}
	}
}

// delayed reports whether the client of c has TCP_NODELAY off.
func delayed(t *testing.T, c net.Conn) bool {
	t.Helper()
	client := c.RemoteAddr().(*net.TCPAddr).AddrPort()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Error(err)
	}
	for _, entry := range list {
		fd, _ := strconv.Atoi(entry.Name())
		if sa, err := unix.Getsockname(fd); err == nil {
			if in, ok := sa.(*unix.SockaddrInet4); ok && in.Port == int(client.Port()) && in.Addr == client.Addr().As4() {
				v, err := unix.GetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY)
				return err == nil && v == 0
			}
		}
	}
	t.Errorf("no socket of this process is %s", client)
	return false
}

func TestEachThreadRunsWhereItShould(t *testing.T) {
	target := serve(t, func(c net.Conn) {
		if passHello(c) == nil {
			echo(c, func() {})
		}
	})
	var inside atomic.Int64
	mustRun(t, Options{
		Target: target, Workload: Request, Size: 64, Connections: 2, Threads: 2, Duration: 50 * time.Millisecond,
		Within: func(f func() error) error {
			inside.Add(1)
			return f()
		},
	})
	if inside.Load() != 2 {
		t.Errorf("%d of 2 threads", inside.Load())
	}
}
