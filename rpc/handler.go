package rpc

import (
	"context"
	"io"
	"net/http"
	"runtime/debug"
	"strings"

	"google.golang.org/protobuf/proto"
)

// The way of a request: method → certificate → body → pace → turn → call → answer. What
// is cheap to refuse is refused first: an unknown method and a caller without a
// certificate before the body is read, a wrong body before it waits for a turn.

// statusError is an error with another status than 400.
type statusError struct {
	code int
	text string
}

func (e *statusError) Error() string { return e.text }

func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = io.WriteString(w, "OK") // the reader may have left
	})
	mux.HandleFunc("GET /prpc/{method}", s.serve)
	mux.HandleFunc("POST /prpc/{method}", s.serve)
	version := "v" + s.o.Version + " (git:" + s.o.Commit + ")"
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-App-Version", version)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cache-Control", "no-store")
		if !isCertified(r) { // one answer: a stranger's place is wanted
			h.Set("Connection", "close")
		}
		mux.ServeHTTP(w, r)
	})
}

// serve answers one call.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	enc := encodingOf(r)
	name := methodName(r.PathValue("method"))
	m, ok := s.methods[name]
	if !ok {
		s.metrics.count("unknown", enc.writeError(w, &statusError{http.StatusNotFound, "Service not found: " + name}))
		return
	}
	out, err := s.answer(w, r, enc, m)
	if err != nil {
		s.metrics.count(name, enc.writeError(w, err))
		return
	}
	s.metrics.count(name, enc.write(w, out))
}

// methodName is name without the prefixes that guests, old and new, may send.
func methodName(name string) string {
	for {
		rest, ok := strings.CutPrefix(name, "Tproxy.")
		if !ok {
			rest, ok = strings.CutPrefix(name, "Gateway.")
		}
		if !ok {
			return name
		}
		name = rest
	}
}

// answer calls m. A panic ends the call and not the process, as everywhere in
// net/http, and is logged.
func (s *Server) answer(w http.ResponseWriter, r *http.Request, enc encoding, m method) (out proto.Message, err error) {
	defer func() {
		if p := recover(); p != nil {
			s.o.Log.Error("a call ended in a panic: please report it", "path", r.URL.Path, "panic", p, "stack", string(debug.Stack()))
			out, err = nil, &statusError{http.StatusInternalServerError, "internal error"}
		}
	}()
	ctx, cancel := context.WithTimeout(r.Context(), callTimeout)
	defer cancel()
	c := call{conn: r.TLS, source: r.RemoteAddr}
	if m.authenticated {
		if c.conn, c.leaf, err = s.o.Identity.authenticate(r); err != nil {
			return nil, err
		}
	}
	in := m.request()
	if err := enc.read(w, r, m.maxBody, in); err != nil {
		return nil, err
	}
	if err := s.waitForTurn(ctx, r); err != nil {
		return nil, err
	}
	defer s.turns.leave()
	return m.call(ctx, c, in)
}

// isCertified reports whether the caller has shown a certificate.
func isCertified(r *http.Request) bool { return r.TLS != nil && len(r.TLS.VerifiedChains) > 0 }

// waitForTurn waits for the pace of the caller's certificate, and for a turn. Turns go
// round the authorities, which are one per app, and in each its certificates; strangers
// count as one.
func (s *Server) waitForTurn(ctx context.Context, r *http.Request) error {
	var authority, who any = "stranger", r.RemoteAddr
	if isCertified(r) {
		authority, who = holderOf(r.TLS)
		if err := s.pace.wait(ctx, who); err != nil {
			return err
		}
	}
	if !s.turns.enter(ctx.Done(), authority, who) {
		return &statusError{http.StatusServiceUnavailable, "too many calls at once: try again later"}
	}
	return nil
}
