package e2e

import (
	"io"
	"testing"

	"sallyport/internal/gwtest"
)

// The client says that it is done; everything that it sent before arrives, and
// the answer, sent after it, comes whole.
func TestHalfCloseByTheClientDeliversEverything(t *testing.T) {
	eachMode(t, func(t *testing.T, w *world, g *gateway, m mode) {
		f := w.flow(m)
		sent := async(func() error {
			if err := copyAll(f.client, m.last(6)); err != nil {
				return err
			}
			return f.client.CloseWrite()
		})
		m.mustGet(t, f.instance, 6)
		if err := <-sent; err != nil {
			t.Fatal(err)
		}
		answered := async(func() error {
			if err := copyAll(f.instance, m.last(7)); err != nil {
				return err
			}
			return f.instance.Close()
		})
		m.mustGet(t, f.client, 7)
		if err := <-answered; err != nil {
			t.Fatal(err)
		}
		g.waitFor("the connection to end", "gateway_connections_open", 0)
	})
}

// The instance is done first; what the client sends after it still arrives.
func TestHalfCloseByTheInstanceDeliversEverything(t *testing.T) {
	eachMode(t, func(t *testing.T, w *world, g *gateway, m mode) {
		f := w.flow(m)
		sent := async(func() error {
			if err := copyAll(f.instance, m.last(6)); err != nil {
				return err
			}
			return f.instance.CloseWrite()
		})
		m.mustGet(t, f.client, 6)
		if err := <-sent; err != nil {
			t.Fatal(err)
		}
		answered := async(func() error {
			if err := copyAll(f.client, m.last(7)); err != nil {
				return err
			}
			return f.client.CloseWrite()
		})
		m.mustGet(t, f.instance, 7)
		if err := <-answered; err != nil {
			t.Fatal(err)
		}
		f.client.Close()
		f.instance.Close()
		g.waitFor("the connection to end", "gateway_connections_open", 0)
	})
}

// A connection without a single byte of data ends as well.
func TestCloseOfBothSidesAtOnceEndsTheConnection(t *testing.T) {
	eachMode(t, func(t *testing.T, w *world, g *gateway, m mode) {
		f := w.flow(m)
		f.client.Close()
		f.instance.Close()
		g.waitFor("the connection to end", "gateway_connections_open", 0)
	})
}

// last is what one side sends before it closes: in copy mode less than makes the
// gateway splice.
func (m mode) last(seed byte) io.Reader {
	if m.relay == "copy" {
		return gwtest.Stream(seed, 60<<10)
	}
	return gwtest.Stream(seed, 6<<20)
}

// mustGet reads to the end and compares with what was sent last.
func (m mode) mustGet(t *testing.T, r io.Reader, seed byte) {
	t.Helper()
	got, err := gwtest.Digest(r)
	want, _ := gwtest.Digest(m.last(seed)) // it cannot fail
	if err != nil || got != want {
		t.Fatalf("received %s (%v), sent %s", got, err, want)
	}
}
