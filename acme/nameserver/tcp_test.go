package nameserver

import (
	"bytes"
	"context"
	"encoding/binary"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"
)

// stream is a client's connection.
type stream struct{ net.Conn }

func dialTCP(t testing.TB, to netip.AddrPort) stream {
	t.Helper()
	c, err := net.Dial("tcp", to.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	return stream{c}
}

func framed(b []byte) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...)
}

func (c stream) ask(t testing.TB, query []byte) *dns.Msg {
	t.Helper()
	if _, err := c.Write(framed(query)); err != nil {
		t.Fatal(err)
	}
	return c.next(t)
}

func (c stream) next(t testing.TB) *dns.Msg {
	t.Helper()
	m, err := (&dns.Conn{Conn: c.Conn}).ReadMsg()
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// closed waits for the end of the connection.
func (c stream) closed(t testing.TB) {
	t.Helper()
	if n, err := c.Read(make([]byte, 1)); n > 0 || isTimeout(err) {
		t.Errorf("%d bytes, %v: want the end", n, err)
	}
}

func isTimeout(err error) bool {
	ne, ok := err.(net.Error) //nolint:errorlint // as it comes from the socket
	return ok && ne.Timeout()
}

// RFC 7766, 6.2.1: however the bytes of the queries are cut, the answers are the same.
func TestQueriesArePipelined(t *testing.T) {
	_, at := start(t, Options{Zones: []Zone{base()}})
	const n = 200
	var all []byte
	for i := range n {
		all = append(all, framed(packed(t, func(m *dns.Msg) { m.Id = uint16(i) }))...)
	}
	for _, size := range []int{1, 7, 1000, len(all)} {
		c := dialTCP(t, at)
		sent := make(chan error, 1)
		go func() {
			for rest := all; len(rest) > 0; {
				k := min(size, len(rest))
				if _, err := c.Write(rest[:k]); err != nil {
					sent <- err
					return
				}
				rest = rest[k:]
			}
			sent <- nil
		}()
		for i := range n {
			if m := c.next(t); int(m.Id) != i || len(m.Answer) != 1 {
				t.Fatalf("pieces of %d: answer %d is %v", size, i, m)
			}
		}
		if err := <-sent; err != nil {
			t.Error(err)
		}
	}
}

func TestConnectionEndsAfterAnotherMessage(t *testing.T) {
	_, at := start(t, Options{Zones: []Zone{base()}})
	plain := packed(t, func(*dns.Msg) {})
	for _, bad := range [][]byte{
		{0, 0},
		framed(plain[:11]),
		framed(packed(t, func(m *dns.Msg) { m.Response = true })),
		binary.BigEndian.AppendUint16(nil, maxQuery+1),
	} {
		c := dialTCP(t, at)
		if m := c.ask(t, plain); len(m.Answer) != 1 {
			t.Fatalf("%v", m)
		}
		if _, err := c.Write(bad); err != nil {
			t.Fatal(err)
		}
		c.closed(t)
	}
}

// What a source opens beyond its share costs it the connection that has been idle longest.
func TestConnectionsAreBoundedBySource(t *testing.T) {
	s, at := start(t, Options{Zones: []Zone{base()}, MaxConnections: 16})
	plain := packed(t, func(*dns.Msg) {})
	first, second := dialTCP(t, at), dialTCP(t, at)
	first.ask(t, plain)
	second.ask(t, plain)
	first.ask(t, plain)
	third := dialTCP(t, at)
	third.ask(t, plain)
	second.closed(t)
	counted(t, s.metrics.refused, 1)
	first.ask(t, plain)
}

// pipe is a client's connection without a socket, for the time of synctest.
func pipe(ctx context.Context, s *Server) (c stream, ended chan time.Duration) {
	client, server := net.Pipe()
	ended = make(chan time.Duration, 1)
	began := time.Now()
	go func() {
		s.serveConn(ctx, &conn{Conn: server})
		ended <- time.Since(began)
	}()
	return stream{client}, ended
}

func TestConnectionTimes(t *testing.T) {
	for _, tc := range []struct {
		what string
		do   func(t *testing.T, c stream)
		want time.Duration
	}{
		{"says nothing", func(*testing.T, stream) {}, idleTimeout},
		{"says nothing more", func(t *testing.T, c stream) {
			<-time.After(3 * time.Second)
			c.ask(t, packed(t, func(*dns.Msg) {}))
		}, 3*time.Second + idleTimeout},
		{"says a byte now and then", func(_ *testing.T, c stream) {
			for _, b := range framed(make([]byte, 100)) {
				<-time.After(time.Second)
				if _, err := c.Write([]byte{b}); err != nil {
					return
				}
			}
		}, idleTimeout},
		{"announces more than a query has", func(t *testing.T, c stream) {
			if _, err := c.Write(binary.BigEndian.AppendUint16(nil, maxQuery+1)); err != nil {
				t.Error(err)
			}
		}, 0},
		{"does not read", func(t *testing.T, c stream) {
			if _, err := c.Write(framed(packed(t, func(*dns.Msg) {}))); err != nil {
				t.Error(err)
			}
		}, writeTimeout},
		{"never stops asking", func(t *testing.T, c stream) {
			for range 59 {
				c.ask(t, packed(t, func(*dns.Msg) {}))
				<-time.After(time.Second)
			}
		}, maxLife},
	} {
		t.Run(tc.what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, ended := pipe(t.Context(), newTestServer(t, Options{Zones: []Zone{base()}}))
				defer c.Close()
				tc.do(t, c)
				if got := <-ended; got != tc.want {
					t.Errorf("it ended after %v, want %v", got, tc.want)
				}
			})
		})
	}
}

func TestConnectionEndsWithTheServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		c, ended := pipe(ctx, newTestServer(t, Options{Zones: []Zone{base()}}))
		defer c.Close()
		c.ask(t, packed(t, func(*dns.Msg) {}))
		cancel()
		if got := <-ended; got != 0 {
			t.Errorf("after %v", got)
		}
	})
}

// recorded is a client's connection that has sent everything and keeps the answers.
type recorded struct {
	net.Conn
	in     bytes.Reader
	out    bytes.Buffer
	writes int
}

func (r *recorded) Read(b []byte) (int, error)       { return r.in.Read(b) }
func (r *recorded) SetReadDeadline(time.Time) error  { return nil }
func (r *recorded) SetWriteDeadline(time.Time) error { return nil }
func (r *recorded) Close() error                     { return nil }
func (r *recorded) Write(b []byte) (int, error) {
	r.writes++
	return r.out.Write(b)
}

func TestAnswersAreWrittenTogether(t *testing.T) {
	c := &recorded{}
	c.in.Reset(bytes.Repeat(framed(packed(t, func(*dns.Msg) {})), 100)) // less than is read at once
	newTestServer(t, Options{Zones: []Zone{base()}}).serveConn(t.Context(), &conn{Conn: c})
	if c.writes != 1 {
		t.Errorf("%d writes", c.writes)
	}
}

// FuzzStream: whatever a connection carries, what comes back are whole answers.
func FuzzStream(f *testing.F) {
	s := both(f)
	plain := framed(packed(f, func(*dns.Msg) {}))
	f.Add(plain)
	f.Add(append(plain, plain...))
	f.Add([]byte{0xff, 0xff, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		c := &recorded{}
		c.in.Reset(b)
		s.serveConn(t.Context(), &conn{Conn: c})
		for out := c.out.Bytes(); len(out) > 0; {
			n := int(binary.BigEndian.Uint16(out))
			m := new(dns.Msg)
			if err := m.Unpack(out[2 : 2+n]); err != nil || !m.Response {
				t.Fatalf("answer %x: %v", out[2:2+n], err)
			}
			out = out[2+n:]
		}
		if s.bugLogged.Load() != 0 {
			t.Error("a query met a panic")
		}
	})
}
