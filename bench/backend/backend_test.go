package backend

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"
)

// dial connects to a backend that runs until the test ends.
func dial(t *testing.T) net.Conn {
	t.Helper()
	s, err := Listen(netip.MustParseAddrPort("127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx, -1) }()
	c, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(30 * time.Second))
	t.Cleanup(func() {
		c.Close()
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return c
}

// hello is a record of a handshake; what is in it is of no account.
func hello(size int) []byte {
	b := append([]byte{handshake, 3, 1}, 0, 0)
	binary.BigEndian.PutUint16(b[3:], uint16(size))
	return append(b, make([]byte, size)...)
}

func write(t *testing.T, c net.Conn, p []byte) {
	t.Helper()
	if _, err := c.Write(p); err != nil {
		t.Fatal(err)
	}
}

func TestEchoComesBackWithoutTheHello(t *testing.T) {
	for name, head := range map[string][]byte{"no hello": nil, "hello": hello(300), "two records": append(hello(1200), hello(7)...)} {
		t.Run(name, func(t *testing.T) {
			c := dial(t)
			write(t, c, head)
			for _, text := range []string{"Echo", "and again", "Reply is not a command here"} {
				write(t, c, []byte(text))
				got := make([]byte, len(text))
				if _, err := io.ReadFull(c, got); err != nil || string(got) != text {
					t.Fatalf("%q, %v: want %q", got, err, text)
				}
			}
		})
	}
}

// A client that sends and does not read is held back, and gets every byte in the end.
func TestEchoLosesNothingUnderBackPressure(t *testing.T) {
	c := dial(t)
	sent := make([]byte, 8<<20)
	for i := range sent {
		sent[i] = byte(i>>8) | 1
	}
	go func() { _, _ = c.Write(sent) }()
	got := make([]byte, len(sent))
	if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, sent) {
		t.Fatalf("%v, equal: %v", err, bytes.Equal(got, sent))
	}
}

func TestReplyWaitsForTheRequestAndCloses(t *testing.T) {
	c := dial(t)
	whole := append(hello(100), Command{Mode: Reply, Request: 50, Size: 3000}.Append(nil)...)
	whole = append(whole, make([]byte, 50-CommandSize)...)
	for i := range whole { // each byte by itself
		write(t, c, whole[i:i+1])
	}
	if got, err := io.ReadAll(c); err != nil || len(got) != 3000 {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

func TestReplyDoesNotComeBeforeTheRequest(t *testing.T) {
	c := dial(t)
	write(t, c, Command{Mode: Reply, Request: 50, Size: 1}.Append(nil))
	c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if n, err := c.Read(make([]byte, 1)); err == nil {
		t.Errorf("%d bytes before the request was complete", n)
	}
}

func TestDownloadSendsMoreThanAnyBufferHolds(t *testing.T) {
	c := dial(t)
	write(t, c, Command{Mode: Download}.Append(nil))
	if _, err := io.CopyN(io.Discard, c, 64<<20); err != nil {
		t.Error(err)
	}
}

func TestUploadIsReadAndNotAnswered(t *testing.T) {
	c := dial(t)
	write(t, c, Command{Mode: Upload}.Append(nil))
	write(t, c, make([]byte, 64<<20))
	c.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	if n, err := c.Read(make([]byte, 1)); err == nil {
		t.Errorf("%d bytes in answer", n)
	}
}

func TestTrickleTellsWhenEachMessageWasDue(t *testing.T) {
	c := dial(t)
	began := time.Now()
	const interval = 5 * time.Millisecond
	write(t, c, Command{Mode: Trickle, Size: 64, Interval: interval}.Append(nil))
	var last int64
	for i := range 10 {
		var b [64]byte
		if _, err := io.ReadFull(c, b[:]); err != nil {
			t.Fatal(err)
		}
		due := int64(binary.BigEndian.Uint64(b[:]))
		if now := time.Now().UnixNano(); due > now || due < began.UnixNano() {
			t.Fatalf("message %d was due at %d, it is %d", i, due, now)
		}
		if i > 0 && due-last != int64(interval) {
			t.Errorf("message %d was due %d ns after the one before", i, due-last)
		}
		last = due
	}
}

func TestCommandsAreCutToTheirBounds(t *testing.T) {
	for _, test := range []struct{ in, want Command }{
		{Command{Mode: Reply, Request: 100, Size: 200, Interval: time.Second}, Command{Reply, 100, 200, time.Second}},
		{Command{Mode: Reply}, Command{Reply, CommandSize, 0, MinInterval}},
		{Command{Mode: Trickle, Interval: time.Hour}, Command{Trickle, CommandSize, TrickleHeader, MaxInterval}},
		{Command{Mode: Reply, Request: 1 << 30, Size: 1 << 30}, Command{Reply, MaxSize, MaxSize, MinInterval}},
	} {
		if got := parseCommand(test.in.Append(nil)); got != test.want {
			t.Errorf("%+v: got %+v, want %+v", test.in, got, test.want)
		}
	}
}

// The input may be cut anywhere; what a connection does must not depend on it.
func FuzzBeginOfAConnection(f *testing.F) {
	f.Add(hello(20), uint8(3))
	f.Add(append(hello(20), Command{Mode: Trickle, Size: 64, Interval: time.Second}.Append(nil)...), uint8(1))
	f.Add(append(Command{Mode: Reply, Size: 1 << 20}.Append(nil), 1, 2, 3), uint8(15))
	f.Add([]byte("Echo"), uint8(2))
	f.Fuzz(func(t *testing.T, input []byte, piece uint8) {
		whole, rest := begun(input, len(input)+1)
		cut, restCut := begun(input, int(piece)+1)
		whole.s, cut.s, whole.due, cut.due = nil, nil, time.Time{}, time.Time{}
		if whole.cmd != cut.cmd || whole.begun != cut.begun || whole.skip != cut.skip || !bytes.Equal(rest, restCut) {
			t.Errorf("whole: %+v, %x; in pieces of %d: %+v, %x", whole, rest, piece+1, cut, restCut)
		}
		if len(whole.out) > MaxSize || len(whole.head) > CommandSize {
			t.Errorf("%d bytes to send, %d kept", len(whole.out), len(whole.head))
		}
	})
}

// begun gives a connection its first bytes in pieces, until it knows its mode.
func begun(input []byte, piece int) (*conn, []byte) {
	c := &conn{s: &Server{zeros: make([]byte, MaxSize)}}
	for len(input) > 0 && !c.begun {
		p := input[:min(piece, len(input))]
		input = input[len(p):]
		for len(p) > 0 && !c.begun {
			p = c.begin(p)
		}
		input = append(bytes.Clone(p), input...)
	}
	return c, input
}
