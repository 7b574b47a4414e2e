package relay

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"hash"
	"io"
	"net"
	"testing"
	"time"
)

func TestHelloReachesTheBackendUnchanged(t *testing.T) {
	got := make(chan []byte, 1)
	g := start(t, nil).to(serve(t, func(c *net.TCPConn) { got <- readHelloFrom(t, c) }))
	sent := helloFor(t, "raw.test")
	write(t, g.dial(), sent)
	if !bytes.Equal(<-got, sent) {
		t.Error("the backend got another hello than the client sent")
	}
}

func TestServerMaySpeakFirst(t *testing.T) {
	g := start(t, nil).to(afterHello(t, func(c *net.TCPConn) { write(t, c, []byte("SSH-2.0-x\r\n")) }))
	if got := readExactly(t, g.pass(), 11); string(got) != "SSH-2.0-x\r\n" {
		t.Errorf("got %q", got)
	}
}

func TestTerminatedClientIsEchoed(t *testing.T) {
	g := start(t, nil).to(serve(t, echo))
	c := g.tls()
	write(t, c, []byte("hello"))
	if got := readExactly(t, c, 5); string(got) != "hello" {
		t.Errorf("got %q", got)
	}
}

// stream is what both directions carry in the transfer tests.
type stream struct {
	conn io.ReadWriter
	shut func() error
}

func TestTransfersAreWhole(t *testing.T) {
	const size = 96 << 20
	for _, mode := range []string{"passthrough", "terminated"} {
		for _, slow := range []bool{false, true} {
			name := mode + map[bool]string{false: "", true: ", slow receiver"}[slow]
			t.Run(name, func(t *testing.T) {
				n := size
				if slow {
					n = 8 << 20
				}
				transfer(t, mode == "terminated", n, slow)
			})
		}
	}
}

// transfer sends n bytes up, and then n bytes down, and compares the sums.
func transfer(t *testing.T, terminated bool, n int, slow bool) {
	up := make(chan [32]byte, 1)
	handle := func(c *net.TCPConn) {
		up <- sum(c, slow)
		send := newSource(n)
		if _, err := io.Copy(struct{ io.Writer }{c}, send); err != nil {
			t.Errorf("backend: %v", err)
		}
	}
	g := start(t, nil)
	var s stream
	if terminated {
		g.to(serve(t, handle))
		c := g.tls()
		s = stream{c, c.CloseWrite}
	} else {
		g.to(afterHello(t, handle))
		c := g.pass()
		s = stream{c, c.CloseWrite}
	}
	src := newSource(n)
	if _, err := io.Copy(struct{ io.Writer }{s.conn}, src); err != nil {
		t.Fatal(err)
	}
	if err := s.shut(); err != nil {
		t.Fatal(err)
	}
	want := src.sum()
	if <-up != want {
		t.Error("upload: other bytes arrived")
	}
	if sum(s.conn, slow) != want {
		t.Error("download: other bytes arrived")
	}
	if n > 64<<20 && !terminated && g.bytes(1, splicing) < uint64(n)/2 {
		t.Errorf("only %d of %d bytes were spliced", g.bytes(1, splicing), n)
	}
}

// bytes is a counter, over all loops.
func (g *gateway) bytes(dir int, mode relayMode) (n uint64) {
	for _, l := range g.loops {
		n += l.stats.bytes[dir][mode].Load()
	}
	return n
}

// source yields n bytes that are the same in each run of it.
type sourceReader struct {
	left  int
	block []byte
	hash  hash.Hash
}

var noise = func() []byte {
	b := make([]byte, 1<<20-7) // not a multiple of any buffer
	_, _ = rand.Read(b)
	return b
}()

func newSource(n int) *sourceReader {
	return &sourceReader{left: n, hash: sha256.New()}
}

func (s *sourceReader) Read(p []byte) (int, error) {
	if s.left == 0 {
		return 0, io.EOF
	}
	if len(s.block) == 0 {
		s.block = noise
	}
	n := copy(p, s.block[:min(len(s.block), s.left)])
	s.block = s.block[n:]
	s.left -= n
	s.hash.Write(p[:n])
	return n, nil
}

func (s *sourceReader) sum() [32]byte { return [32]byte(s.hash.Sum(nil)) }

// sum reads to the EOF, with pauses if slow.
func sum(r io.Reader, slow bool) [32]byte {
	h := sha256.New()
	b := make([]byte, 100<<10)
	for {
		n, err := r.Read(b)
		h.Write(b[:n])
		if err != nil {
			return [32]byte(h.Sum(nil))
		}
		if slow {
			<-time.After(time.Millisecond) // the point of the test, not a wait for something
		}
	}
}

// The two directions are independent: a client that does not read yet may send.
func TestUploadGoesOnWhileTheClientDoesNotRead(t *testing.T) {
	const down, up = 64 << 20, 4 << 20 // a receive buffer alone may grow to 32 MiB
	got := make(chan [32]byte, 1)
	handle := func(c *net.TCPConn) {
		read := make(chan struct{})
		go func() {
			defer close(read)
			got <- sum(io.LimitReader(c, up), false)
		}()
		_, _ = io.Copy(struct{ io.Writer }{c}, newSource(down))
		_ = c.CloseWrite()
		<-read // no other reader before that
		_, _ = io.Copy(io.Discard, c)
	}
	bothModes(t, nil, handle, func(t *testing.T, g *gateway, c client) {
		last, still := uint64(0), 0
		eventually(t, "the way down is full", func() bool {
			n := g.bytes(1, copying) + g.bytes(1, splicing) + g.bytes(1, crypting)
			if still++; n != last || n == 0 {
				last, still = n, 0
			}
			return still > 50
		})
		src := newSource(up)
		if _, err := io.Copy(struct{ io.Writer }{c}, src); err != nil {
			t.Fatal(err)
		}
		if <-got != src.sum() {
			t.Error("other bytes arrived")
		}
		all := newSource(down)
		_, _ = io.Copy(io.Discard, all)
		if sum(c, false) != all.sum() {
			t.Error("download: other bytes arrived")
		}
	})
}
