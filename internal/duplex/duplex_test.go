package duplex

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// pair is two ends of a TCP connection.
func pair(t *testing.T) (*net.TCPConn, *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	a, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	b, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []net.Conn{a, b} {
		t.Cleanup(func() { c.Close() })
		if err := c.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
			t.Fatal(err)
		}
	}
	return a.(*net.TCPConn), b.(*net.TCPConn)
}

// joined is a client and a server whose connections are joined, and what Join's end
// closes.
func joined(t *testing.T) (client, server *net.TCPConn, done <-chan struct{}) {
	t.Helper()
	client, left := pair(t)
	right, server := pair(t)
	for _, c := range []net.Conn{left, right} {
		if err := c.SetDeadline(time.Time{}); err != nil {
			t.Fatal(err)
		}
	}
	ended := make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		defer close(ended)
		Join(ctx, left, right)
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	return client, server, ended
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// cut resets c once everything that it sent has been acknowledged.
func cut(t *testing.T, c *net.TCPConn) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for unsent(c) > 0 {
		<-tick.C
	}
	must(t, c.SetLinger(0))
	must(t, c.Close())
}

func TestHalfCloseGoesThroughAndTheAnswerComesBack(t *testing.T) {
	client, server, done := joined(t)
	go func() {
		b, _ := io.ReadAll(server)
		_, _ = server.Write(append([]byte("got "), b...))
		server.Close()
	}()
	_, err := client.Write([]byte("question"))
	must(t, err)
	must(t, client.CloseWrite())
	if b, err := io.ReadAll(client); err != nil || string(b) != "got question" {
		t.Errorf("answer %q, %v", b, err)
	}
	<-done
}

// However slowly it is read, what came before a reset arrives before it.
func TestResetComesBehindWhatWasSentBefore(t *testing.T) {
	client, server, done := joined(t)
	must(t, client.SetReadBuffer(16<<10))
	sent := bytes.Repeat([]byte("0123456789abcdef"), 64<<10)
	_, err := server.Write(sent)
	must(t, err)
	cut(t, server)
	if b, err := io.ReadAll(client); !bytes.Equal(b, sent) || !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("%d of %d bytes, then %v", len(b), len(sent), err)
	}
	<-done
}

// A write may be what the kernel tells of a reset; to a read it says EOF then.
func TestResetThatAWriteHasFoundIsNoEnd(t *testing.T) {
	client, server, done := joined(t)
	written := make(chan error, 1)
	go func() {
		for {
			if _, err := client.Write([]byte("more")); err != nil {
				written <- err
				return
			}
		}
	}()
	_, err := server.Read(make([]byte, 1))
	must(t, err)
	_, err = server.Write([]byte("half"))
	must(t, err)
	cut(t, server)
	// The kernel reports a reset once: to the client's read or to its write. One that
	// comes behind a FIN it reports as EPIPE.
	b, errRead := io.ReadAll(client)
	if err := errors.Join(errRead, <-written); string(b) != "half" || !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("%q, then %v", b, err)
	}
	<-done
}

// Nobody reads a connection that has said all, and nobody writes to it while the other
// is silent.
func TestResetAfterAHalfCloseIsPassedOn(t *testing.T) {
	client, server, done := joined(t)
	must(t, client.CloseWrite())
	if b, err := io.ReadAll(server); err != nil || len(b) > 0 {
		t.Fatalf("%q, %v", b, err)
	}
	cut(t, client)
	<-done
	if _, err := server.Write([]byte("x")); err == nil {
		_, err = server.Write([]byte("x"))
		if err == nil {
			t.Error("the server's connection lives")
		}
	}
}

func TestEndOfTheContextResetsBoth(t *testing.T) {
	client, left := pair(t)
	right, server := pair(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		Join(ctx, left, right)
	}()
	cancel()
	<-done
	for _, c := range []net.Conn{client, server} {
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("read: %v", err)
		}
	}
}

// fake is a connection of a stack that is none of the kernel's.
type fake struct {
	net.Conn
	left  atomic.Int64 // not acknowledged
	dead  atomic.Bool
	reset atomic.Bool
}

func (f *fake) CloseWrite() error { return nil }
func (f *fake) Unsent() int       { return int(f.left.Load()) }
func (f *fake) Gone() bool        { return f.dead.Load() }
func (f *fake) WaitGone() bool    { return f.dead.Load() }
func (f *fake) Reset() {
	f.reset.Store(true)
	_ = f.Close()
}

// broken is a connection whose stream is cut off at once.
type broken struct{ fake }

func (b *broken) Read([]byte) (int, error) { return 0, syscall.ECONNRESET }

func TestResetWaitsForProgressAndNoLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		here, there := net.Pipe()
		receiver := &fake{Conn: here}
		receiver.left.Store(3)
		sender := &broken{fake{Conn: there}}
		sender.dead.Store(true)
		began := time.Now()
		done := make(chan struct{})
		go func() {
			defer close(done)
			Join(t.Context(), sender, receiver)
		}()
		for range 2 {
			<-time.After(wait - time.Second)
			receiver.left.Add(-1)
		}
		<-done
		if took := time.Since(began); took < 3*wait-2*time.Second || took > 3*wait {
			t.Errorf("waited %v", took)
		}
		if !receiver.reset.Load() {
			t.Error("not reset")
		}
	})
}

func TestReceiverThatTakesNothingIsNotWaitedForWithoutASender(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		here, unread := net.Pipe()
		defer unread.Close()
		receiver := &fake{Conn: here}
		there, writer := net.Pipe()
		sender := &fake{Conn: there}
		done := make(chan struct{})
		go func() {
			defer close(done)
			Join(t.Context(), sender, receiver)
		}()
		_, err := writer.Write([]byte("nobody reads this"))
		must(t, err)
		<-time.After(10 * wait)
		synctest.Wait()
		if receiver.reset.Load() {
			t.Fatal("reset, though its sender lives")
		}
		sender.dead.Store(true)
		_ = writer.Close()
		<-time.After(wait + 2*look)
		<-done
		if !receiver.reset.Load() {
			t.Error("not reset")
		}
	})
}

// buggy is a connection whose stack panics when it is read.
type buggy struct{ fake }

func (b *buggy) Read([]byte) (int, error) { panic("boom") }

// A panic on Join's second goroutine would end the process, and with it the test.
func TestPanicOfEitherDirectionComesOutOfJoin(t *testing.T) {
	for name, order := range map[string]func(a, b net.Conn) (net.Conn, net.Conn){
		"first":  func(a, b net.Conn) (net.Conn, net.Conn) { return a, b },
		"second": func(a, b net.Conn) (net.Conn, net.Conn) { return b, a },
	} {
		t.Run(name, func(t *testing.T) {
			client, left := pair(t)
			near, _ := net.Pipe()
			bug := &buggy{fake{Conn: near}}
			a, b := order(left, bug)
			func() {
				defer func() {
					if p := fmt.Sprint(recover()); !strings.HasPrefix(p, "boom") || !strings.Contains(p, "duplex_test.go") {
						t.Errorf("Join panics with %s", p)
					}
				}()
				Join(t.Context(), a, b)
			}()
			if _, err := client.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) || !bug.reset.Load() {
				t.Errorf("the client reads %v; the other connection is reset: %t", err, bug.reset.Load())
			}
		})
	}
}
