package relay

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"iter"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sallyport/internal/nonblock"
)

// terminating makes a connection whose TLS ends here, on sockets: what the forger makes
// and is written to client arrives at backend as plaintext.
func terminating(t *testing.T, l *loop) (c *conn, f *forger, client, backend int32) {
	t.Helper()
	c, client, backend = watchedPassing(t, l)
	cert, roots := certificate(t)
	var keys strings.Builder
	side := &tlsSide{means: &clientWords, wire: wire{c: c, end: &c.client}}
	link := &link{connOf(t, c.client.fd), &side.wire}
	side.conn = tls.Server(link, &tls.Config{Certificates: []tls.Certificate{cert}})
	done := make(chan error, 1)
	go func() {
		done <- tls.Client(connOf(t, client), &tls.Config{ServerName: "tls.test", RootCAs: roots, KeyLogWriter: &keys}).Handshake()
	}()
	if err := side.conn.Handshake(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	side.wire.shaken()
	link.Conn, link.shaking = &side.wire, nil
	c.tls = side
	look(l)
	return c, forge(t, keys.String(), "CLIENT_TRAFFIC_SECRET_0"), client, backend
}

// connOf is a net.Conn of its own on the socket of fd.
func connOf(t *testing.T, fd int32) net.Conn {
	t.Helper()
	dup, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	file := os.NewFile(uintptr(dup), "socket")
	defer file.Close()
	c, err := net.FileConn(file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// pumps gives c its turns until it has nothing left to do, and tells how many.
func pumps(t *testing.T, l *loop, c *conn, after func()) (n int) {
	t.Helper()
	c.client.onEvents(unix.EPOLLIN)
	for l.later(c); len(l.ready) > 0; n++ {
		l.ready, c.queued = rest(l.ready, 1), false
		c.pump()
		after()
	}
	return n
}

func TestTurnIsBoundedInRecords(t *testing.T) {
	const turns = 10
	l := testLoop(t)
	c, f, client, backend := terminating(t, l)
	sent := f.data(nil, turns*turnRecords)
	if n, _ := nonblock.Send(client, sent); n != len(sent) {
		t.Fatalf("the socket takes %d bytes of %d", n, len(sent))
	}
	var before uint64
	n := pumps(t, l, c, func() {
		if got := c.up.bytes - before; got > turnRecords {
			t.Errorf("a turn took %d records of one byte", got)
		}
		before = c.up.bytes
	})
	if n < turns || c.up.bytes != turns*turnRecords {
		t.Errorf("%d bytes of %d in %d turns", c.up.bytes, turns*turnRecords, n)
	}
	if n, _ := nonblock.Read(backend, make([]byte, readSize)); n != turns*turnRecords {
		t.Errorf("the backend got %d bytes", n)
	}
	if c.tls.wire.ahead != nil {
		t.Error("an idle connection holds a chunk")
	}
}

// A record may be padded up to 16 KiB (RFC 8446, 5.4).
func TestTurnIsBoundedInBytes(t *testing.T) {
	const records = turnRecords - 1
	l := testLoop(t)
	c, f, _, _ := terminating(t, l)
	w := &c.tls.wire
	for range records { // more than a socket takes at once
		w.ahead = l.chunks.Keep(w.ahead, f.record(nil, typeApplication, []byte{'x'}, 16<<10-1))
	}
	n := pumps(t, l, c, func() {
		if got := w.turn.bytes; got > turnBytes+readSize {
			t.Errorf("a turn took %d bytes", got)
		}
		if w.ahead != nil && !c.bulk {
			t.Error("padding is not taken for bulk")
		}
	})
	if n < 2 || c.up.bytes != records {
		t.Errorf("%d bytes arrived in %d turns", c.up.bytes, n)
	}
}

func TestManySmallRecordsWaitBehindRequests(t *testing.T) {
	l := testLoop(t)
	c, f, client, _ := terminating(t, l)
	request, asking, asked := watchedPassing(t, l)
	look(l)
	nonblock.Send(client, f.data(nil, bulkRecords))
	look(l)
	if !c.bulk {
		t.Fatalf("%d records at once are not taken for bulk", bulkRecords)
	}
	done := c.up.bytes
	nonblock.Send(client, f.data(nil, 1))
	nonblock.Send(asking, []byte("ping"))
	l.event(c, clientSide, unix.EPOLLIN)
	l.event(request, clientSide, unix.EPOLLIN)
	if n, _ := nonblock.Read(asked, make([]byte, 10)); n != len("ping") || c.up.bytes != done {
		t.Errorf("the request got %d bytes through, the small records before it %d", n, c.up.bytes-done)
	}
	look(l)
	if c.up.bytes != done+1 || c.bulk {
		t.Errorf("%d bytes in its turn; bulk still: %v", c.up.bytes-done, c.bulk)
	}
}

// A row of 15 KeyUpdates and a byte is what crypto/tls allows without end.
func TestKeyUpdatesAreLimited(t *testing.T) {
	for name, ask := range map[string]bool{"that ask for one": true, "that do not": false} {
		t.Run(name, func(t *testing.T) {
			l := testLoop(t)
			c, f, client, _ := terminating(t, l)
			var sent []byte
			for range 20 {
				for range 15 {
					sent = f.keyUpdate(sent, ask)
				}
				sent = f.data(sent, 1)
			}
			nonblock.Send(client, sent)
			pumps(t, l, c, func() {
				if got := c.tls.wire.empties.n; got > emptyRecords+1 {
					t.Errorf("%d KeyUpdates were followed", got)
				}
			})
			if c.reason != EmptyRecords {
				t.Errorf("reason %s after %d bytes", c.reason, c.up.bytes)
			}
		})
	}
}

// crypto/tls reads a message to its end before it sees that nobody asked for it.
func TestLargeMessageIsNotReadToItsEnd(t *testing.T) {
	l := testLoop(t)
	c, f, _, _ := terminating(t, l)
	const clientHello, length = 1, 60000
	message := append(binary.BigEndian.AppendUint32(nil, clientHello<<24|length), make([]byte, length)...)
	sent := f.data(nil, 1)
	for piece := range slices.Chunk(message, 16<<10) {
		sent = f.record(sent, typeHandshake, piece, 0)
	}
	c.tls.wire.ahead = l.chunks.Keep(nil, sent)
	pumps(t, l, c, func() {})
	if c.reason != EmptyRecords { // BadRecord is what crypto/tls makes of all of it
		t.Errorf("reason %s", c.reason)
	}
}

func TestTicketsAreNotMuch(t *testing.T) {
	var e empties
	for range 8 {
		e.ended, e.bytes = 1, 1500 // of a server that puts a certificate in
		if e.tooMany(1) {
			t.Fatalf("8 tickets count %d", e.n)
		}
	}
	if e.ended, e.bytes, e.used, e.gave = 10, 10*16<<10, 10, 10; e.tooMany(1) {
		t.Error("padding counts, though each record gave something")
	}
}

func TestEmptyRecordsAreForgivenWithTime(t *testing.T) {
	const second = int64(time.Second)
	var e empties
	now := 1000 * second
	if e.ended = 5; e.tooMany(now) || e.n != 5 {
		t.Fatalf("5 records that brought nothing count %d", e.n)
	}
	if e.ended, e.used = 100, 100; e.tooMany(now) || e.n != 5 {
		t.Errorf("records that bring something count: %d", e.n)
	}
	if e.ended, e.used = 1, 3; e.tooMany(now) || e.n != 5 {
		t.Errorf("who brings more earns something: %d", e.n)
	}
	for range 1000 { // an hour of those is nothing
		now += second
		if e.ended = 1; e.tooMany(now) {
			t.Fatal("one each second is too many")
		}
	}
	e.ended = emptyRecords
	for range 2 {
		e.ended++
		if e.tooMany(now) {
			return
		}
	}
	t.Errorf("%d at once are not too many", e.n)
}

// The loop turns to others while a client's handshake has more to read.
func TestHandshakeTakesTurns(t *testing.T) {
	l := testLoop(t)
	l.tick()
	c, client, _ := passing(t, l)
	c.phase = settingUp
	c.client.onEvents(unix.EPOLLIN)
	sent := bytes.Repeat([]byte{typeHandshake, 3, 3, 0, 1, 0}, 4*turnRecords)
	nonblock.Send(client, sent)

	got := 0
	co := &coro{setup: setup{c: c, l: l, handshake: len(sent) + 1, records: len(sent)}}
	c.co = co
	w := &wire{c: c, end: &c.client, setup: &co.setup}
	next, stop := iter.Pull(func(yield func(struct{}) bool) {
		co.yield = yield
		for p := make([]byte, readSize); ; {
			n, err := w.Read(p)
			if got += n; err != nil {
				return
			}
		}
	})
	defer stop()
	for turns := 1; got < len(sent); turns++ {
		if next(); got > turns*6*turnRecords {
			t.Fatalf("%d bytes in %d turns", got, turns)
		}
		if !c.queued && got < len(sent) {
			t.Fatalf("nobody wakes it after %d bytes", got)
		}
		l.setups, c.queued = nil, false
	}
	c.reason = Drained
	next()
}

func TestSmallRecordsForWhoAsksForThem(t *testing.T) {
	const limit = 512
	l := testLoop(t)
	c, _, client, backend := terminating(t, l)
	c.tls.limit = limit
	sent := make([]byte, 100*limit+1)
	nonblock.Send(backend, sent)
	c.backend.onEvents(unix.EPOLLIN)
	var stream []byte
	for l.later(c); len(l.ready) > 0; {
		before := c.down.bytes
		l.ready, c.queued = rest(l.ready, 1), false
		c.pump()
		if got := c.down.bytes - before; got > turnRecords*limit || got > 0 && !c.bulk {
			t.Errorf("a turn made records of %d bytes; bulk: %v", got, c.bulk)
		}
		b := make([]byte, readMost)
		for n := 1; n > 0; stream = append(stream, b[:max(n, 0)]...) {
			n, _ = nonblock.Read(client, b)
		}
	}
	if c.down.bytes != uint64(len(sent)) {
		t.Fatalf("%d bytes of %d", c.down.bytes, len(sent))
	}
	const overhead = 1 + 16 // RFC 8446, 5.2: the type, the tag
	for len(stream) > 0 {
		n := int(binary.BigEndian.Uint16(stream[3:]))
		if n > limit+overhead {
			t.Fatalf("a record of %d bytes", n)
		}
		stream = stream[recordHeader+n:]
	}
}
