package nameserver

import (
	"bytes"
	"context"
	"encoding/binary"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"
)

// messages are the DNS messages of a stream's bytes.
func messages(t testing.TB, b []byte) (list []*dns.Msg) {
	t.Helper()
	for len(b) > 0 {
		n := int(binary.BigEndian.Uint16(b))
		m := new(dns.Msg)
		if err := m.Unpack(b[2 : 2+n]); err != nil {
			t.Fatalf("answer %x: %v", b[2:2+n], err)
		}
		list = append(list, m)
		b = b[2+n:]
	}
	return list
}

// Queries are answered up to the first message that is not one.
func TestQueriesBeforeAnotherMessageAreAnswered(t *testing.T) {
	plain := framed(packed(t, func(*dns.Msg) {}))
	for what, bad := range map[string][]byte{
		"short":    framed(make([]byte, 11)),
		"answer":   framed(packed(t, func(m *dns.Msg) { m.Response = true })),
		"too long": binary.BigEndian.AppendUint16(nil, maxQuery+1),
		"cut off":  plain[:len(plain)-1],
	} {
		c := &recorded{}
		c.in.Reset(bytes.Join([][]byte{plain, plain, bad}, nil))
		newTestServer(t, Options{Zones: []Zone{base()}}).serveConn(t.Context(), &conn{Conn: c})
		if got := messages(t, c.out.Bytes()); len(got) != 2 {
			t.Errorf("%s: %d answers, want 2", what, len(got))
		}
	}
}

// ending is a connection whose server ends as soon as it has read.
type ending struct {
	recorded
	end context.CancelFunc
}

func (e *ending) Read(b []byte) (int, error) {
	defer e.end()
	return e.recorded.Read(b)
}

func TestQueriesThatWereReadAreAnsweredAtTheEnd(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	c := &ending{end: cancel}
	c.in.Reset(bytes.Repeat(framed(packed(t, func(*dns.Msg) {})), 100))
	newTestServer(t, Options{Zones: []Zone{base()}}).serveConn(ctx, &conn{Conn: c})
	if got := messages(t, c.out.Bytes()); len(got) != 100 {
		t.Errorf("%d answers, want 100", len(got))
	}
}

// A client that does not read holds the end up by one write's time.
func TestEndWaitsForAWriteAndNoLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		c, ended := pipe(ctx, newTestServer(t, Options{Zones: []Zone{base()}}))
		defer c.Close()
		if _, err := c.Write(framed(packed(t, func(*dns.Msg) {}))); err != nil {
			t.Fatal(err)
		}
		cancel()
		if got := <-ended; got != writeTimeout {
			t.Errorf("it ended after %v, want %v", got, writeTimeout)
		}
	})
}

// A client that reads, but slowly, has no more than the life of a connection and the
// time of one write.
func TestSlowReaderEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, ended := pipe(t.Context(), newTestServer(t, Options{Zones: []Zone{base()}}))
		defer c.Close()
		go func() { // it never stops asking
			query := framed(packed(t, func(*dns.Msg) {}))
			for {
				if _, err := c.Write(query); err != nil {
					return
				}
			}
		}()
		for b := make([]byte, 16); ; { // nor taking a little
			<-time.After(time.Second)
			if _, err := c.Read(b); err != nil {
				break
			}
		}
		if got := <-ended; got > maxLife+writeTimeout {
			t.Errorf("it ended after %v, want %v at most", got, maxLife+writeTimeout)
		}
	})
}
