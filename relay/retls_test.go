package relay

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"testing"
	"time"
)

// randomBytes are n bytes that no compression or repetition hides an error in.
func randomBytes(n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{1})
	_, _ = r.Read(b)
	return b
}

const bulk = 10 << 20

func TestEncryptedAgainBothWaysWithHalfClose(t *testing.T) {
	up, down := randomBytes(bulk), randomBytes(bulk+1)
	for name, dial := range map[string]func(*gateway, *Options){"kernel": nil, "user space": inUserSpace} {
		t.Run(name, func(t *testing.T) {
			a, got := newApps(t), make(chan []byte, 1)
			g := start(t, dial).toTLS(a, serveTLS(t, a.good(), func(c *tls.Conn) {
				b, err := io.ReadAll(c) // until the close_notify
				if err != nil {
					t.Errorf("the instance reads: %v", err)
				}
				got <- b
				if _, err := c.Write(down); err != nil {
					t.Errorf("the instance writes: %v", err)
				}
			}))
			c := g.tls()
			write(t, c, up)
			if err := c.CloseWrite(); err != nil {
				t.Fatal(err)
			}
			b, err := io.ReadAll(c)
			if err == nil && !bytes.Equal(b, down) {
				err = errors.New("other bytes")
			}
			if err != nil || !bytes.Equal(<-got, up) {
				t.Errorf("down: %d bytes, %v; up: right is %t", len(b), err, err != nil)
			}
		})
	}
}

func TestInstanceMayEndFirst(t *testing.T) {
	a, got := newApps(t), make(chan string, 1)
	g := start(t, nil).toTLS(a, serveTLS(t, a.good(), func(c *tls.Conn) {
		_, _ = io.WriteString(c, "that was all")
		_ = c.CloseWrite()
		b, err := io.ReadAll(c)
		if err != nil {
			t.Error(err)
		}
		got <- string(b)
	}))
	c := g.tls()
	if b, err := io.ReadAll(c); err != nil || string(b) != "that was all" {
		t.Fatalf("%q, %v", b, err)
	}
	write(t, c, []byte("still here"))
	_ = c.Close()
	if b := <-got; b != "still here" {
		t.Errorf("the instance got %q", b)
	}
	if got := g.ended(); got != "instance_closed" {
		t.Errorf("reason %s", got)
	}
}

func TestBothDirectionsAtOnceDoNotWaitForEachOther(t *testing.T) {
	a, sent := newApps(t), randomBytes(bulk)
	g := start(t, nil).toTLS(a, serveTLS(t, a.good(), echoTLS))
	c := g.tls()
	go func() {
		_, _ = c.Write(sent)
		_ = c.CloseWrite()
	}()
	if b, err := io.ReadAll(c); err != nil || !bytes.Equal(b, sent) {
		t.Errorf("%d bytes, %v", len(b), err)
	}
}

// What the instance does not take must stay with the client, not in the gateway.
func TestInstanceThatDoesNotReadHoldsTheClientBack(t *testing.T) {
	a, release := newApps(t), make(chan struct{})
	g := start(t, nil).toTLS(a, serveTLS(t, a.good(), func(*tls.Conn) { <-release }))
	defer close(release)
	c, sent, piece := g.tls(), 0, randomBytes(1<<20)
	for sent < 256<<20 {
		_ = c.SetWriteDeadline(time.Now().Add(300 * time.Millisecond))
		n, err := c.Write(piece)
		sent += n
		if err != nil {
			return // held back
		}
	}
	t.Errorf("%d MiB were taken for an instance that does not read", sent>>20)
}

// tap keeps what was read of a connection.
type tap struct {
	net.Conn
	read bytes.Buffer
}

func (p *tap) Read(b []byte) (int, error) {
	n, err := p.Conn.Read(b)
	p.read.Write(b[:n])
	return n, err
}

// endsWithBye reports whether the last record of a TLS 1.3 stream is as long as a
// close_notify alone is: two bytes, the type and the tag (RFC 8446, 5.2). crypto/tls
// does not tell a FIN between two records from it.
func endsWithBye(stream []byte) bool {
	const bye = 2 + 1 + 16
	last := 0
	for at := 0; at+5 <= len(stream); at += 5 + last {
		last = int(stream[at+3])<<8 + int(stream[at+4])
	}
	return last == bye
}

// A reply that was cut off must not look like a whole one.
func TestInstanceThatIsCutOffIsSeenToBe(t *testing.T) {
	for name, dial := range map[string]func(*gateway, *Options){"kernel": nil, "user space": inUserSpace} {
		a := newApps(t)
		g := start(t, dial).toTLS(a, serveTLS(t, a.good(), func(c *tls.Conn) {
			_, _ = io.WriteString(c, "half of a message")
			_ = c.NetConn().(*net.TCPConn).CloseWrite() // without a close_notify
			_, _ = io.Copy(io.Discard, c.NetConn())
		}))
		in := &tap{Conn: g.dial()}
		c := g.upgrade(in)
		if b, err := io.ReadAll(c); err != nil || string(b) != "half of a message" || endsWithBye(in.read.Bytes()) {
			t.Errorf("%s: %q, %v", name, b, err)
		}
		_ = c.Close()
		if got := g.ended(); got != "instance_truncated" {
			t.Errorf("%s: reason %s", name, got)
		}
	}
}

func TestClientThatIsCutOffIsSeenToBe(t *testing.T) {
	for name, cut := range map[string]func(*tls.Conn){
		"client_closed":    func(c *tls.Conn) { _ = c.Close() }, // which is seen not to be
		"client_truncated": func(c *tls.Conn) { _ = c.NetConn().(*net.TCPConn).CloseWrite() },
		"client_reset": func(c *tls.Conn) {
			_ = c.NetConn().(*net.TCPConn).SetLinger(0)
			_ = c.NetConn().Close()
		},
		"bad_record": func(c *tls.Conn) { _, _ = c.NetConn().Write(bytes.Repeat([]byte{23, 3, 3, 0, 1}, 9)) },
	} {
		a, got := newApps(t), make(chan bool, 1)
		good := a.good()
		g := start(t, nil).toTLS(a, serve(t, func(raw *net.TCPConn) {
			in := &tap{Conn: raw}
			c := tls.Server(in, good)
			_, _ = io.WriteString(c, "go on")
			_, err := io.ReadAll(c)
			_ = c.CloseWrite()
			got <- err == nil && endsWithBye(in.read.Bytes())
		}))
		c := g.tls()
		readExactly(t, c, 5)
		write(t, c, []byte("half of a message"))
		cut(c)
		if clean := <-got; clean != (name == "client_closed") {
			t.Errorf("%s: the instance saw a clean end: %t", name, clean)
		}
		if got := g.ended(); got != name {
			t.Errorf("reason %s, want %s", got, name)
		}
	}
}

func TestInstanceThatBreaksItsRecordsEndsTheConnection(t *testing.T) {
	a := newApps(t)
	g := start(t, nil).toTLS(a, serveTLS(t, a.good(), func(c *tls.Conn) {
		_, _ = c.NetConn().Write(bytes.Repeat([]byte{23, 3, 3, 0, 1}, 9))
		_, _ = io.Copy(io.Discard, c.NetConn())
	}))
	if b, err := io.ReadAll(g.tls()); err == nil {
		t.Errorf("a clean end after %q", b)
	}
	if got := g.ended(); got != "instance_bad_record" {
		t.Errorf("reason %s", got)
	}
}

func TestBothTLSDoNotMixUpTheirBytes(t *testing.T) {
	a := newApps(t)
	g := start(t, nil).toTLS(a, serveTLS(t, a.good(), echoTLS))
	c := g.tls()
	for n := range 200 {
		msg := randomBytes(1 + n*97)
		write(t, c, msg)
		if got := readExactly(t, c, len(msg)); !bytes.Equal(got, msg) {
			t.Fatalf("message of %d bytes came back as another", len(msg))
		}
	}
}
