package tdxpki

import (
	"net/http"
	"sync"
)

// What a server may answer instead of a good document, for [PCCS.Instead].

// Status answers with a status and no document.
func Status(code int) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, http.StatusText(code), code) })
}

// Body answers 200 with these bytes and no issuer chain.
func Body(b []byte) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(b) })
}

// TooMuch answers with n zero bytes, of no announced length, or as many as the
// client takes.
func TooMuch(n int) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		chunk := make([]byte, min(n, 64<<10))
		for left := n; left > 0; left -= len(chunk) {
			if _, err := w.Write(chunk[:min(left, len(chunk))]); err != nil {
				return
			}
		}
	})
}

// A Gate holds requests until it is opened, or their clients leave.
type Gate struct {
	arrived chan struct{}
	open    chan struct{}
	once    sync.Once
}

// Hold stops the answers for a document, until the gate is opened: then they
// are given, good ones, and to later requests at once.
func (s *PCCS) Hold(d Document) *Gate {
	g := &Gate{arrived: make(chan struct{}, 1024), open: make(chan struct{})}
	s.Instead(d, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select { // a test that does not count arrivals is not waited for
		case g.arrived <- struct{}{}:
		default:
		}
		select {
		case <-g.open:
			s.serve(w, r, d)
		case <-r.Context().Done():
		}
	}))
	return g
}

// Arrived gives one value for each request that came to the gate.
func (g *Gate) Arrived() <-chan struct{} { return g.arrived }

// Open lets everybody through. It may be called more than once.
func (g *Gate) Open() { g.once.Do(func() { close(g.open) }) }
