//go:build soak

package rpc

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

const (
	soakStrangers   = 10_000
	soakConnections = 2448 // as a process with 20,000 descriptors has for guests
	soakGuests      = 100
)

// soakRegister registers as the guest at source, on a connection of its own.
func (w *world) soakRegister(source string, cert tls.Certificate) (time.Duration, error) {
	return soakRegister(context.Background(), w.addr, source, w.root.pool(), cert)
}

func soakRegister(ctx context.Context, addr, source string, roots *x509.CertPool, cert tls.Certificate) (time.Duration, error) {
	began := time.Now()
	d := tls.Dialer{
		NetDialer: &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(source)}, Timeout: 5 * time.Second}, // a guest's
		Config:    &tls.Config{RootCAs: roots, ServerName: "gw.example", Certificates: []tls.Certificate{cert}},
	}
	c, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	c.SetDeadline(began.Add(time.Minute))
	if _, err := c.Write([]byte(post("/prpc/RegisterCvm?json", guests[0].body))); err != nil {
		return 0, err
	}
	_, err = c.Read(make([]byte, 4096))
	return time.Since(began), err
}

// TestSoakRegistrationsBesideStrangers has 10,000 connections without a certificate come at
// once, each with a handshake and then silent, and again a few seconds after it was closed,
// from eight addresses and from a thousand. Guests register one after the other, each at an
// address of its own, which is new to the gateway in the first hundred. The strangers are a
// process of their own that runs last (nice 19): they stand for other machines, whose
// handshakes cost this one nothing.
func TestSoakRegistrationsBesideStrangers(t *testing.T) {
	for _, sources := range []string{"0", "8", "1000"} {
		t.Run(sources+" addresses", func(t *testing.T) {
			w := newWorld(t, func(o *Options) { o.MaxConnections = soakConnections })
			var certs [soakGuests]tls.Certificate
			for i := range certs {
				certs[i] = w.app.guest(t, "app1", "inst"+strconv.Itoa(i))
			}
			end := startStrangers(t, w.addr, sources)
			var took []time.Duration
			failed := 0
			for i := range 2 * soakGuests {
				d, err := w.soakRegister(netip.AddrFrom4([4]byte{127, 200, byte(i % soakGuests), 1}).String(), certs[i%soakGuests])
				if err != nil {
					t.Logf("registration %d failed: %v", i, err)
					if failed++; failed == 10 {
						break
					}
				}
				took = append(took, d)
				<-time.After(50 * time.Millisecond)
			}
			end()
			slices.Sort(took)
			t.Logf("%d of %d registrations failed; p50 %v, p99 %v, most %v",
				failed, len(took), took[len(took)/2], took[len(took)*99/100], took[len(took)-1])
			if failed > 0 || took[len(took)*99/100] > time.Second {
				t.Error("want none failed, and a p99 of a second at most")
			}
		})
	}
}

// startStrangers returns when all have begun. end ends them.
func startStrangers(t *testing.T, addr, sources string) (end func()) {
	t.Helper()
	if sources == "0" {
		return func() {}
	}
	stop := startLast(t, "TestSoakStrangers", "STRANGERS_AT="+addr, "STRANGERS_FROM="+sources)
	return func() { stop() }
}

// startLast runs a test of this binary as a process of its own that runs last (nice 19), and
// returns when it has written "begun". end ends it, and returns what else it has written.
func startLast(t *testing.T, test string, env ...string) (end func() string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := exec.CommandContext(t.Context(), "nice", "-n", "19", self, "-test.run", "^"+test+"$", "-test.v")
	p.Env = append(os.Environ(), env...)
	p.Stderr = os.Stderr
	until, err := p.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	words, err := p.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(words)
	for lines.Scan() && lines.Text() != "begun" {
	}
	return func() string {
		_ = until.Close()
		lines.Scan()
		_ = p.Process.Kill()
		_ = p.Wait()
		return lines.Text()
	}
}

// untilEnd ends when startLast's end is called, or after a minute.
func untilEnd(t *testing.T) context.Context {
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(stop)
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		stop()
	}()
	return ctx
}

// TestSoakStrangers is the strangers' process.
func TestSoakStrangers(t *testing.T) {
	addr := os.Getenv("STRANGERS_AT")
	if addr == "" {
		t.Skip("a part of TestSoakRegistrationsBesideStrangers")
	}
	sources, err := strconv.Atoi(os.Getenv("STRANGERS_FROM"))
	if err != nil {
		t.Fatal(err)
	}
	ctx := untilEnd(t)
	var strangers sync.WaitGroup
	for i := range soakStrangers {
		from := netip.AddrFrom4([4]byte{127, 1 + byte(i%sources/250), byte(i % sources % 250), 1}).String()
		strangers.Go(func() {
			for ctx.Err() == nil {
				comeAndStay(ctx, addr, from)
				select {
				case <-time.After(5 * time.Second):
				case <-ctx.Done():
				}
			}
		})
	}
	fmt.Println("begun")
	strangers.Wait()
	fmt.Println("ended")
}

// comeAndStay connects, does a handshake, and waits for the end.
func comeAndStay(ctx context.Context, addr, from string) {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	raw, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return
	}
	defer raw.Close()
	defer context.AfterFunc(ctx, func() { raw.Close() })()
	c := tls.Client(raw, &tls.Config{InsecureSkipVerify: true})
	if c.HandshakeContext(ctx) == nil {
		_, _ = c.Read(make([]byte, 1))
	}
}

// greedySource is the address of the greedy guest.
const greedySource = "127.0.201.1"

// TestSoakRegistrationsBesideAGreedyGuest has one guest register without a pause, over 32 and
// 128 connections at once, each anew, while another one registers now and then, at an address
// of its own and then at that of the greedy one. That one is a process of its own that runs
// last (nice 19), as the strangers above.
func TestSoakRegistrationsBesideAGreedyGuest(t *testing.T) {
	for _, connections := range []string{"32", "128"} {
		t.Run(connections+" connections", func(t *testing.T) { soakBesideAGreedyGuest(t, connections) })
	}
}

func soakBesideAGreedyGuest(t *testing.T, connections string) {
	w := newWorld(t, nil)
	measure := func(app, source string, n int) string {
		var took []time.Duration
		began, cpu := time.Now(), cpuTime(t)
		for i := range n {
			d, err := w.soakRegister(source, w.app.guest(t, app, strconv.Itoa(i)))
			if err != nil {
				t.Errorf("%s: registration %d: %v", app, i, err)
			}
			took = append(took, d)
			<-time.After(20 * time.Millisecond)
		}
		slices.Sort(took)
		return fmt.Sprintf("p50 %v, p99 %v, %d %% of a processor", took[len(took)/2], took[len(took)*99/100],
			100*(cpuTime(t)-cpu)/time.Since(began))
	}
	quiet := measure("quiet", "127.0.200.1", 100)
	files := writeFiles(t, t.TempDir(), w.guest, w.root)
	end := startLast(t, "TestSoakGreedyGuest", "GREEDY_AT="+w.addr, "GREEDY_CONNECTIONS="+connections,
		"GREEDY_CERT="+files.Cert, "GREEDY_KEY="+files.Key, "GREEDY_CA="+files.ClientCA)
	beside := measure("beside", "127.0.200.1", 100)
	same := measure("same", greedySource, 10)
	greedy := end()
	w.registrar.mu.Lock()
	defer w.registrar.mu.Unlock()
	t.Logf("quiet: %s\nbeside a greedy guest: %s\nat its address: %s\n%s; %d registrations of all",
		quiet, beside, same, greedy, len(w.registrar.calls))
}

// cpuTime is what this process, the server and the guests that are measured, has used.
func cpuTime(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// TestSoakGreedyGuest is the greedy guest's process.
func TestSoakGreedyGuest(t *testing.T) {
	addr := os.Getenv("GREEDY_AT")
	if addr == "" {
		t.Skip("a part of TestSoakRegistrationsBesideAGreedyGuest")
	}
	cert, err := tls.LoadX509KeyPair(os.Getenv("GREEDY_CERT"), os.Getenv("GREEDY_KEY"))
	if err != nil {
		t.Fatal(err)
	}
	connections, err := strconv.Atoi(os.Getenv("GREEDY_CONNECTIONS"))
	if err != nil {
		t.Fatal(err)
	}
	pem, err := os.ReadFile(os.Getenv("GREEDY_CA"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	ctx, began := untilEnd(t), time.Now()
	var came atomic.Int64
	var all sync.WaitGroup
	for range connections {
		all.Go(func() {
			for ctx.Err() == nil {
				_, _ = soakRegister(ctx, addr, greedySource, roots, cert)
				came.Add(1)
			}
		})
	}
	fmt.Println("begun")
	all.Wait()
	fmt.Printf("%d connections of it in %v\n", came.Load(), time.Since(began).Round(time.Millisecond))
}
