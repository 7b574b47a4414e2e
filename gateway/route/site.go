package route

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"

	"sallyport/internal/hello"
	"sallyport/internal/vm"
	"sallyport/relay"
	"sallyport/router"
	"sallyport/rpc"
)

// Site serves the gateway's own name from inside the process: connections come
// to it from the relay, without a socket.
type Site struct {
	conns  chan net.Conn
	done   chan struct{}
	places *vm.Gauge // connections; each holds three descriptors
	share  int       // of places, for one client address
}

// NewSite makes a Site for at most places connections at once; one client address may
// have a quarter of them.
func NewSite(places int) *Site {
	return &Site{
		conns: make(chan net.Conn), done: make(chan struct{}),
		places: vm.NewGauge(int64(places)), share: max(1, places/4),
	}
}

// Serve answers until ctx is done. It is called once. agent and certs are rpc.WellKnown's.
func (s *Site) Serve(ctx context.Context, agent string, certs rpc.Certificates, log *slog.Logger) error {
	mux := http.NewServeMux()
	mux.Handle("/", rpc.WellKnown(agent, certs))
	mux.HandleFunc("/{$}", func(http.ResponseWriter, *http.Request) {})
	srv := &http.Server{
		Handler: mux, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second,
		IdleTimeout: 15 * time.Second, MaxHeaderBytes: 8 << 10,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	stop := context.AfterFunc(ctx, func() { _ = srv.Close() })
	defer stop()
	if err := srv.Serve(s); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// dial is a relay.Backend's.
func (s *Site) dial(ctx context.Context) (net.Conn, error) {
	near, far := net.Pipe()
	select {
	case s.conns <- far:
		return near, nil
	case <-ctx.Done():
	case <-s.done:
	}
	_ = near.Close()
	_ = far.Close()
	return nil, net.ErrClosed
}

// Accept implements net.Listener.
func (s *Site) Accept() (net.Conn, error) {
	select {
	case c := <-s.conns:
		return c, nil
	case <-s.done:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener; the server calls it once.
func (s *Site) Close() error {
	close(s.done)
	return nil
}

// Addr implements net.Listener.
func (s *Site) Addr() net.Addr { return &net.UnixAddr{Name: vm.OwnName, Net: "unix"} }

// isSite reports whether a name below a domain, which no app has, is the gateway's own.
func isSite(serverName []byte) bool {
	label, _, _ := bytes.Cut(serverName, []byte("."))
	name, err := router.ParseName(label)
	return err == nil && name.Port == 80 && name.Mode == hello.Terminate &&
		(string(name.ID) == vm.OwnName || string(name.ID) == vm.HealthName)
}

// decideApex decides for a domain's own name, with a certificate of its own.
func (r *Decider) decideApex(domain string, h *hello.Hello, d *relay.Decision) {
	if h.ALPN.Only(hello.ACMETLS1) {
		r.answerValidation(domain, d)
		return
	}
	if d.TLS = r.o.Certificates.ApexTLSConfig(domain, r.leadToSite(h, d)); d.TLS == nil {
		d.Refuse = relay.UnknownDomain // it is about to go
	}
}

// leadToSite leads to the gateway's own site, which speaks HTTP/1.1 and nothing else, and
// returns the protocol to confirm.
func (r *Decider) leadToSite(h *hello.Hello, d *relay.Decision) (protocol string) {
	d.Mode, d.App = hello.Terminate, vm.OwnName
	d.Backends[0] = relay.Backend{Name: vm.OwnName, Dial: r.o.Site.dial}
	d.N = 1
	d.Limit, d.Share = r.o.Site.places, r.o.Site.share
	switch {
	case h.ALPN.Offers(hello.HTTP1):
		return hello.HTTP1
	case !h.ALPN.Empty():
		d.Refuse, d.Detail = relay.NoProtocol, "the gateway's own site speaks "+hello.HTTP1
	}
	return ""
}
