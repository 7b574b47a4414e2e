//go:build soak

package rpc

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"sync"
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
	began := time.Now()
	d := tls.Dialer{
		NetDialer: &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(source)}, Timeout: 5 * time.Second}, // a guest's
		Config:    &tls.Config{RootCAs: w.root.pool(), ServerName: "gw.example", Certificates: []tls.Certificate{cert}},
	}
	c, err := d.DialContext(context.Background(), "tcp", w.addr)
	if err != nil {
		return 0, err
	}
	defer c.Close()
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
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	crowd := exec.CommandContext(t.Context(), "nice", "-n", "19", self, "-test.run", "^TestSoakStrangers$", "-test.v")
	crowd.Env = append(os.Environ(), "STRANGERS_AT="+addr, "STRANGERS_FROM="+sources)
	crowd.Stderr = os.Stderr
	words, err := crowd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := crowd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(words)
	for lines.Scan() && lines.Text() != "begun" {
	}
	return func() {
		_ = crowd.Process.Kill()
		_ = crowd.Wait()
	}
}

// TestSoakStrangers is the strangers' process, which is killed in the end, or after a minute.
func TestSoakStrangers(t *testing.T) {
	addr := os.Getenv("STRANGERS_AT")
	if addr == "" {
		t.Skip("a part of TestSoakRegistrationsBesideStrangers")
	}
	sources, err := strconv.Atoi(os.Getenv("STRANGERS_FROM"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
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

// TestSoakRegistrationsBesideAGreedyGuest has one guest register without a pause, over 32
// connections at once, each anew, while another one registers now and then.
func TestSoakRegistrationsBesideAGreedyGuest(t *testing.T) {
	w := newWorld(t, nil)
	measure := func(app string) (p50, p99 time.Duration) {
		var took []time.Duration
		for i := range 60 {
			d, err := w.soakRegister("127.0.200.1", w.app.guest(t, app, strconv.Itoa(i)))
			if err != nil {
				t.Error(err)
			}
			took = append(took, d)
			<-time.After(20 * time.Millisecond)
		}
		slices.Sort(took)
		return took[len(took)/2], took[len(took)*99/100]
	}
	quiet, quietMost := measure("quiet")
	ctx, stop := context.WithTimeout(t.Context(), 30*time.Second)
	var greedy sync.WaitGroup
	for range 32 {
		greedy.Go(func() {
			for ctx.Err() == nil {
				_, _ = w.soakRegister("127.0.201.1", w.guest)
			}
		})
	}
	beside, besideMost := measure("beside")
	stop()
	greedy.Wait()
	w.registrar.mu.Lock()
	defer w.registrar.mu.Unlock()
	t.Logf("p50 %v, p99 %v; beside a greedy guest %v, %v; %d registrations in all", quiet, quietMost, beside, besideMost, len(w.registrar.calls))
}
