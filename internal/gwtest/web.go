package gwtest

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
)

// Listen opens a port, the same on each of the addresses, until the test ends, and returns it.
func Listen(t testing.TB, addrs ...string) (listeners []net.Listener, port string) {
	t.Helper()
	port = "0"
	for _, a := range addrs {
		l, err := net.Listen("tcp", net.JoinHostPort(a, port))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		listeners = append(listeners, l)
		_, port, _ = net.SplitHostPort(l.Addr().String())
	}
	return listeners, port
}

// ServeWeb answers on l, until the test ends, with the protocol, the ALPN and the server
// name of the request, or with "plain" without TLS. conf nil is plain HTTP.
func ServeWeb(t testing.TB, l net.Listener, conf *tls.Config) {
	t.Helper()
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.TLS == nil {
			fmt.Fprint(w, "plain")
			return
		}
		fmt.Fprintf(w, "%s %s %s", r.Proto, r.TLS.NegotiatedProtocol, r.TLS.ServerName)
	}))
	_ = srv.Listener.Close()
	srv.Listener = l
	srv.Config.ErrorLog = slog.NewLogLogger(slog.NewTextHandler(t.Output(), nil), slog.LevelDebug)
	if conf == nil {
		srv.Start()
	} else {
		conf.NextProtos = []string{"h2", "http/1.1"}
		srv.EnableHTTP2, srv.TLS = true, conf
		srv.StartTLS()
	}
	t.Cleanup(srv.Close)
}
