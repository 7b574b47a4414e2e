package e2e

import (
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"sallyport/internal/gwtest"
)

const gib = 1 << 30

// How much more memory the gateway may hold during a transfer than before it.
const (
	// Its own: chunks, and the collector's slack. Never what a slow reader has not taken.
	ownGrowth = 32 << 20

	// With a tunnel in the same process: wireguard-go's pools of 64 KiB packet
	// buffers have grown to 110 MiB here, however much was moved.
	tunnelGrowth = 192 << 20
)

// One GiB each way, in every mode, through a real tunnel, by the program as it is
// shipped: the same bytes arrive, and memory stays flat.
func TestGiBArrivesWhole(t *testing.T) {
	for _, m := range modes {
		t.Run(m.name, func(t *testing.T) {
			w := newWorld(t)
			g := w.startAlone(programs.plain, nil)
			w.connectCVMs(g)
			f := w.flow(m)
			bulk(t, g, m, tunnelGrowth, f.client, f.instance, "up")
			bulk(t, g, m, tunnelGrowth, f.instance, f.client, "down")
		})
	}
}

// The same with the race detector in the gateway, and less of it.
func TestTransferBothWaysAtOnceArrivesWhole(t *testing.T) {
	for _, m := range broad {
		t.Run(m.name, func(t *testing.T) {
			w := newWorld(t)
			w.start()
			const n = 24 << 20
			f := w.flow(m)
			up := async(func() error { return transfer(f.client, f.instance, m, 3, n) })
			down := async(func() error { return transfer(f.instance, f.client, m, 4, n) })
			if err := errors.Join(<-up, <-down); err != nil {
				t.Error(err)
			}
		})
	}
}

// A reader that takes a GiB slowly holds its sender back, not the gateway's
// memory: first it takes nothing at all, then some 100 MB/s. Without a tunnel in
// the process its memory is its own.
func TestSlowReceiverGetsEverythingWhileMemoryStaysFlat(t *testing.T) {
	for _, m := range broad {
		t.Run(m.name, func(t *testing.T) {
			w := newWorld(t)
			for _, c := range w.cvms {
				c.guest.Address = c.direct
			}
			g := w.startAlone(programs.plain, nil, setting{"wireguard.mode", "none"})
			f := w.flow(m)
			bulk(t, g, m, ownGrowth, f.client, newSlow(f.instance), "up")
			bulk(t, g, m, ownGrowth, f.instance, newSlow(f.client), "down")
		})
	}
}

// bulk moves a GiB one way, and watches the gateway's memory meanwhile.
func bulk(t *testing.T, g *gateway, m mode, growth float64, from, to io.ReadWriter, direction string) {
	t.Helper()
	const n = gib
	moved := fmt.Sprintf("gateway_bytes_total{direction=%q,relay=%q}", direction, m.relay)
	before, rss := g.metric(moved), g.metric("process_resident_memory_bytes")
	start := time.Now()
	done := async(func() error { return transfer(from, to, m, 5, n) })
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	var most float64
	for {
		select {
		case <-tick.C:
			most = max(most, g.metric("process_resident_memory_bytes")-rss)
			continue
		case err := <-done:
			if err != nil {
				t.Fatalf("%s: %v", direction, err)
			}
		}
		break
	}
	t.Logf("%s: %d MiB in %s, %.0f MiB/s, memory +%.1f MiB", direction, n>>20, time.Since(start).Round(time.Millisecond),
		float64(n>>20)/time.Since(start).Seconds(), most/(1<<20))
	if most > growth {
		t.Errorf("%s: the gateway grew by %.0f bytes during the transfer", direction, most)
	}
	// A few bytes may take another way at the beginning.
	if got := g.metric(moved) - before; got < 0.9*float64(n) {
		t.Errorf("%s: %.0f of %d bytes were moved by %s", direction, got, n, m.relay)
	}
}

// transfer moves n bytes of a stream and compares what arrives. For a mode that
// copies it keeps the flow thin: a chunk is sent when the one before has been
// acknowledged, so that no read of the gateway's fills its buffer.
func transfer(from, to io.ReadWriter, m mode, seed byte, n int64) error {
	sent := async(func() error {
		if m.relay != "copy" {
			return copyAll(from, gwtest.Stream(seed, n))
		}
		return thinly(from, gwtest.Stream(seed, n))
	})
	in := io.LimitReader(to, n)
	if m.relay == "copy" {
		in = &acknowledger{r: in, w: to}
	}
	got, err := gwtest.Digest(in)
	if want := gwtest.StreamSum(seed, n); err == nil && got != want {
		err = fmt.Errorf("received %s, sent %s", got, want)
	}
	return errors.Join(err, <-sent)
}

const thinChunk = 32 << 10

func thinly(w io.ReadWriter, r io.Reader) error {
	buf := make([]byte, thinChunk)
	for {
		n, err := io.ReadFull(r, buf)
		if n == 0 {
			return nil
		}
		if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
			return err
		}
		if _, err := w.Write(buf[:n]); err != nil {
			return err
		}
		if _, err := io.ReadFull(w, buf[:1]); err != nil {
			return err
		}
	}
}

// An acknowledger writes a byte back for each chunk that was read.
type acknowledger struct {
	r io.Reader
	w io.Writer
	n int
}

func (a *acknowledger) Read(p []byte) (int, error) {
	n, err := a.r.Read(p[:min(len(p), thinChunk-a.n)])
	if a.n += n; a.n == thinChunk {
		a.n = 0
		if _, err := a.w.Write([]byte{1}); err != nil {
			return n, err
		}
	}
	return n, err
}

// A slow reader waits a second before its first read and 10 ms after each MiB.
type slow struct {
	io.ReadWriter

	taken, allowed int
	start          *time.Timer
	pace           *time.Ticker
}

func newSlow(rw io.ReadWriter) *slow {
	return &slow{ReadWriter: rw, start: time.NewTimer(time.Second), pace: time.NewTicker(10 * time.Millisecond)}
}

func (s *slow) Read(p []byte) (int, error) {
	if s.taken == 0 {
		<-s.start.C
	}
	if s.taken >= s.allowed {
		<-s.pace.C
		s.allowed += 1 << 20
	}
	n, err := s.ReadWriter.Read(p)
	s.taken += n
	return n, err
}
