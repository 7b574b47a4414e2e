package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/net/netutil"

	"sallyport/internal/descriptors"
	"sallyport/internal/oneline"
)

// The limits of one request. A scrape of 100,000 series takes about 0.25 s, so
// a writeTimeout of 30 s only meets a reader that has stopped reading.
const (
	readTimeout     = 5 * time.Second
	writeTimeout    = 30 * time.Second
	idleTimeout     = 2 * time.Minute
	shutdownTimeout = 5 * time.Second
	maxHeaderBytes  = 8 << 10
	maxScrapes      = 4 // at a time; a scrape walks every counter there is

	// A connection beyond the limit waits for one to end.
	maxConnections = descriptors.AdminConnections
)

const index = `gateway

/healthz  200 while the process runs
/readyz   200 when it can serve, else 503 and the reason
/metrics  counters, in the Prometheus text format
/status   instances, certificates and loops, in JSON (gateway status shows it)
`

// Options configure a Server. The zero value shows the process alone.
type Options struct {
	// Checks decide /readyz: it is 200 when every one returns nil.
	Checks []Check

	// Collectors are registered beside those of the Go runtime and the process,
	// which count the open descriptors and their limit.
	Collectors []prometheus.Collector

	// Status returns what /status shows. Nil: there is no such page. It is called
	// once for each request, concurrently.
	Status func() Status

	// Hosts are the names by which it may be asked, besides localhost and the addresses
	// at which it listens (host.go).
	Hosts []string

	// Profiles shows the runtime's profiles below /debug/pprof/.
	Profiles bool

	// Log receives what goes wrong while serving. Nil discards it.
	Log *slog.Logger
}

// Server is the operators' HTTP server. Its methods may be called concurrently.
type Server struct {
	log     *slog.Logger
	hosts   []string
	handler http.Handler
}

// New assembles a server; it opens nothing. It panics when two collectors claim
// the same metric, which is a mistake in the program and not in its input.
func New(o Options) *Server {
	log := o.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	reg := prometheus.NewRegistry()
	reg.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	reg.MustRegister(o.Collectors...)

	mux := http.NewServeMux()
	mux.HandleFunc("/{$}", text(index))
	mux.HandleFunc("/healthz", text("ok\n"))
	mux.Handle("/readyz", readyHandler(o.Checks))
	mux.Handle("/metrics", promhttp.HandlerFor(reg, promhttp.HandlerOpts{
		ErrorLog:            slog.NewLogLogger(log.Handler(), slog.LevelError),
		ErrorHandling:       promhttp.ContinueOnError,
		MaxRequestsInFlight: maxScrapes,
		Timeout:             writeTimeout / 2,
	}))
	if o.Status != nil {
		mux.Handle("/status", statusHandler(o.Status))
	}
	if o.Profiles {
		serveProfiles(mux)
	}
	return &Server{log: log, hosts: o.Hosts, handler: guard(mux)}
}

// Serve answers on l until ctx ends, then lets the requests under way finish
// and returns nil. It closes l in every case; any other end is an error.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	srv := &http.Server{
		Handler:           named(s.hosts, l.Addr(), s.handler),
		ReadTimeout:       readTimeout,
		ReadHeaderTimeout: readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(netutil.LimitListener(l, maxConnections)) }()

	select {
	case err := <-ended:
		return fmt.Errorf("admin: serve on %s: %w", l.Addr(), err)
	case <-ctx.Done():
	}
	// ctx is over already: the time to finish in starts now.
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	err := srv.Shutdown(last)
	if errors.Is(err, context.DeadlineExceeded) {
		err = srv.Close() // a client that is not done by now does not read
	}
	if err := oneline.Join(err, notClosed(<-ended)); err != nil {
		return fmt.Errorf("admin: stop: %w", err)
	}
	return nil
}

// notClosed is err, or nil where err only says that the server was stopped.
func notClosed(err error) error {
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// guard holds every request to the rules of the whole server: it may only read,
// nothing of the answer may be kept, and no browser may guess its type.
func guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			h.Set("Allow", "GET, HEAD")
			h.Set("Connection", "close") // an unread body must not hold the connection
			http.Error(w, "only GET and HEAD", http.StatusMethodNotAllowed)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func text(s string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = io.WriteString(w, s) // the reader may have left
	}
}
