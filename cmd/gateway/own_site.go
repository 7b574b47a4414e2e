package main

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

// ownSite serves the gateway's own name from inside the process: connections come
// to it from the relay, without a socket.
type ownSite struct {
	conns  chan net.Conn
	done   chan struct{}
	places *vm.Gauge // connections; each holds three descriptors
	share  int       // of places, for one client address
}

func newOwnSite() *ownSite { return &ownSite{conns: make(chan net.Conn), done: make(chan struct{})} }

// limit bounds the connections. It is called before the first.
func (o *ownSite) limit(places int) {
	o.places, o.share = vm.NewGauge(int64(places)), max(1, places/4)
}

// serve answers until ctx is done. agent and certs are rpc.WellKnown's.
func (o *ownSite) serve(ctx context.Context, agent string, certs rpc.Certificates, log *slog.Logger) error {
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
	if err := srv.Serve(o); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// dial is a relay.Backend's.
func (o *ownSite) dial(ctx context.Context) (net.Conn, error) {
	near, far := net.Pipe()
	select {
	case o.conns <- far:
		return near, nil
	case <-ctx.Done():
	case <-o.done:
	}
	_ = near.Close()
	_ = far.Close()
	return nil, net.ErrClosed
}

// Accept implements net.Listener.
func (o *ownSite) Accept() (net.Conn, error) {
	select {
	case c := <-o.conns:
		return c, nil
	case <-o.done:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener; the server calls it once.
func (o *ownSite) Close() error {
	close(o.done)
	return nil
}

// Addr implements net.Listener.
func (o *ownSite) Addr() net.Addr { return &net.UnixAddr{Name: vm.OwnName, Net: "unix"} }

// routeOwn decides for a name that no app has: it may be the gateway's own.
func (g *gateway) routeOwn(decided *router.Decision, h *hello.Hello, d *relay.Decision) {
	label, _, _ := bytes.Cut(bytes.ToLower(h.ServerName), []byte("."))
	name, err := router.ParseName(label)
	own := err == nil && name.Port == 80 && name.Mode == router.Terminate &&
		(string(name.ID) == vm.OwnName || string(name.ID) == vm.HealthName)
	if !own {
		g.decide(decided, h, d)
		return
	}
	g.end(decided.Domain, g.lead(h, d), d)
}

// routeApex decides for a domain's own name, with a certificate of its own.
func (g *gateway) routeApex(domain string, h *hello.Hello, d *relay.Decision) {
	if isValidation(h.ALPN) {
		g.answerValidation(domain, d)
		return
	}
	if d.TLS = g.certs.ApexTLSConfig(domain, g.lead(h, d)); d.TLS == nil {
		d.Refuse = relay.UnknownDomain // it is about to go
	}
}

// lead leads to the gateway's own site, which speaks HTTP/1.1 and nothing else, and
// returns the protocol to confirm.
func (g *gateway) lead(h *hello.Hello, d *relay.Decision) (protocol string) {
	d.Mode, d.App = relay.Terminate, vm.OwnName
	d.Backends[0] = relay.Backend{Name: vm.OwnName, Dial: g.site.dial}
	d.N = 1
	d.Limit, d.Share = g.site.places, g.site.share
	const spoken = "http/1.1"
	switch {
	case h.ALPN.Offers(spoken):
		return spoken
	case !h.ALPN.Empty():
		d.Refuse, d.Detail = relay.NoProtocol, "the gateway's own site speaks "+spoken
	}
	return ""
}
