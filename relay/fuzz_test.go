package relay

import (
	"bytes"
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// FuzzRelay lets both ends of a connection do what the input says, at random
// paces: send chunks, close their half, reset. Whatever happens, what arrives at
// one end is a prefix of what the other sent, and all of it if nobody reset.
func FuzzRelay(f *testing.F) {
	f.Add([]byte{1, 200, 3, 2, 255, 9}, []byte{4, 4, 4, 250}, false)
	f.Add([]byte{255, 255, 255, 255}, []byte{7}, true)
	f.Add([]byte{}, []byte{0, 1, 2}, true)
	f.Fuzz(func(t *testing.T, up, down []byte, terminated bool) {
		up, down = up[:min(len(up), 24)], down[:min(len(down), 24)]
		type result struct {
			sent, got []byte // sent: at least tried
			broke     bool
		}
		backend := make(chan result, 1)
		play := func(c client, script []byte) (r result) {
			var reading sync.WaitGroup
			reading.Go(func() { r.got, _ = io.ReadAll(c) })
			for _, op := range script {
				if op == 255 && !terminated { // reset
					tcp := c.(*net.TCPConn)
					_ = tcp.SetLinger(0)
					tcp.Close()
					r.broke = true
					break
				}
				if op%8 == 7 {
					<-time.After(time.Duration(op) * time.Microsecond) // a pause is part of the input
				}
				chunk := bytes.Repeat([]byte{op}, int(op)*int(op))
				r.sent = append(r.sent, chunk...)
				if _, err := c.Write(chunk); err != nil {
					r.broke = true
					break
				}
			}
			if !r.broke {
				_ = c.CloseWrite()
			}
			reading.Wait()
			return r
		}
		handle := func(c *net.TCPConn) { backend <- play(c, down) }
		g := start(t, nil)
		var c client
		if terminated {
			g.to(serve(t, handle))
			c = g.tls()
		} else {
			n := int64(len(helloFor(t, "raw.test")))
			g.to(serve(t, func(c *net.TCPConn) {
				_, _ = io.CopyN(io.Discard, c, n) // less of it if the client resets
				handle(c)
			}))
			c = g.pass()
		}
		front := play(c, up)
		back := <-backend
		check := func(dir string, sent, got []byte) {
			if !bytes.HasPrefix(sent, got) {
				t.Errorf("%s: %d bytes arrived that were not sent so", dir, len(got))
			}
			if !front.broke && !back.broke && len(got) != len(sent) {
				t.Errorf("%s: %d of %d bytes arrived", dir, len(got), len(sent))
			}
		}
		check("up", front.sent, back.got)
		check("down", back.sent, front.got)
		if reason := g.ended(); reason == "internal" {
			t.Error("internal error")
		}
	})
}

// FuzzBorders holds the borders of records against a stream that is read at once, however
// it is cut into pieces and whatever the bound.
func FuzzBorders(f *testing.F) {
	f.Add([]byte{23, 3, 3, 0, 0, 23, 3, 3, 0, 2, 1, 2, 23, 3, 3, 1, 0}, []byte{1, 4, 2}, byte(1))
	f.Add(bytes.Repeat([]byte{22, 3, 1, 0, 1, 7}, 40), []byte{7, 200}, byte(3))
	f.Fuzz(func(t *testing.T, stream, cuts []byte, bound byte) {
		var ends []int // of records
		for at := 0; at+5 <= len(stream); {
			at += 5 + int(stream[at+3])<<8 + int(stream[at+4])
			ends = append(ends, at)
		}
		var b borders
		most := 1 + int(bound)
		for at, seen, turn := 0, 0, 0; at < len(stream); turn++ {
			piece := stream[at:]
			if len(cuts) > 0 {
				piece = piece[:min(len(piece), 1+int(cuts[turn%len(cuts)]))]
			}
			n, ended, last := b.pass(piece, most)
			if ended > most || n == 0 || n < len(piece) && ended < most {
				t.Fatalf("%d bytes of %d with %d records, of at most %d", n, len(piece), ended, most)
			}
			want := 0
			for ; seen < len(ends) && ends[seen] <= at+n; seen++ {
				ended--
				want = ends[seen] - at
			}
			if at += n; ended != 0 || last != want {
				t.Fatalf("%d records too many at byte %d; the last ended at %d, want %d", ended, at, last, want)
			}
		}
	})
}
