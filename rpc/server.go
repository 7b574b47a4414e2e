package rpc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sallyport/internal/cpuquota"
	"sallyport/internal/oneline"
)

// The times of one request. A guest gives up after 60 s; the answer must be
// there before, also when a quote had to be verified.
const (
	headerTimeout   = 5 * time.Second
	bodyTimeout     = 15 * time.Second
	callTimeout     = 50 * time.Second
	writeTimeout    = 60 * time.Second // from the header's end
	idleTimeout     = 30 * time.Second // guests come every 180 s, on a new connection
	shutdownTimeout = 10 * time.Second
)

const (
	maxHeaderBytes = 16 << 10
	maxStreams     = 16 // of one HTTP/2 connection; a guest has one
)

// Server answers guests. Its methods may be called concurrently, Serve too.
type Server struct {
	o       Options
	methods map[string]method
	acme    *acmeInfo
	turns   *turns // of calls
	pace    *pace
	metrics metrics
}

// New assembles a server; it opens nothing.
func New(o Options) *Server {
	s := &Server{o: o.withDefaults(), metrics: newMetrics()}
	s.acme = newAcmeInfo(s.o.Certificates)
	s.turns, s.pace = newTurns(s.o.MaxRequests), newPace()
	s.methods = s.table()
	return s
}

// Collectors are the server's counters.
func (s *Server) Collectors() []prometheus.Collector { return s.metrics.collectors() }

// Serve answers on l, which carries TCP, until ctx ends. Then calls under way may
// finish, and it returns nil. It closes l in every case; any other end is an error.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	config := s.o.Identity.serverConfig()
	srv := &http.Server{
		Handler:           s.handler(),
		TLSConfig:         config,
		ConnState:         track,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       bodyTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: maxStreams},
		// What it logs is one line per failed handshake, which anybody can cause.
		ErrorLog: slog.NewLogLogger(s.o.Log.Handler(), slog.LevelDebug),
	}
	// Half of the CPUs at most work on handshakes: the other half is for guests that are in.
	g := newGate(l, config, s.o, max(1, cpuquota.CPUs()/2), s.metrics)
	ended := make(chan error, 1)
	go func() { ended <- g.serve(ctx, srv) }()

	select {
	case err := <-ended:
		return fmt.Errorf("rpc: serve on %s: %w", l.Addr(), err)
	case <-ctx.Done():
	}
	// ctx is over already: the time to finish in starts now.
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	err := srv.Shutdown(last)
	if errors.Is(err, context.DeadlineExceeded) {
		err = srv.Close()
	}
	if served := <-ended; !errors.Is(served, http.ErrServerClosed) {
		err = oneline.Join(err, served)
	}
	if err != nil {
		return fmt.Errorf("rpc: stop: %w", err)
	}
	return nil
}
