package demo

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"
	"golang.org/x/sync/errgroup"

	"sallyport/cmd/gateway/cli/asguest"
	"sallyport/guest"
	"sallyport/internal/vm"
	"sallyport/ratls"
	"sallyport/rpc"
	"sallyport/wg"
)

// cvm stands for a confidential VM: it registers as one, has one end of a
// tunnel, and the servers that an app would have.
type cvm struct {
	ID       ratls.InstanceID
	identity tls.Certificate // what a KMS would have given it
	web      tls.Certificate // of its own server: the gateway never sees the key
}

func newCVM(i int, ca *authority, kms *ratls.Authority) (*cvm, error) {
	app, err := ratls.ParseAppID(appID)
	if err != nil {
		return nil, err
	}
	m := &cvm{}
	for n := range m.ID {
		m.ID[n] = 0xa1 + byte(i)
	}
	info := &ratls.AppInfo{AppID: app, InstanceID: m.ID}
	if m.identity, err = kms.Issue(ratls.Request{AppID: app, AppInfo: info, Subject: "gateway demo", Client: true}); err != nil {
		return nil, err
	}
	cert, key, err := ca.pair(fmt.Sprintf("%s-443s.%s", appID, baseDomain), fmt.Sprintf("%s-443s.%s", m.ID, baseDomain))
	if err != nil {
		return nil, err
	}
	m.web, err = tls.X509KeyPair(cert, key)
	return m, err
}

// run registers the CVM at the gateway and keeps it registered, and serves
// through its tunnel, until ctx is done.
func (m *cvm) run(ctx context.Context, url string, root *x509.Certificate, log *slog.Logger) error {
	key, err := wg.GenerateKey()
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AddCert(root)
	app, err := ratls.ParseAppID(gatewayAppID)
	if err != nil {
		return err
	}
	check := func(leaf *x509.Certificate) error { return ratls.CheckApp(leaf, app) }
	return asguest.Run(ctx, asguest.Options{
		Gateways: []*rpc.Client{{URL: url, Certificate: m.identity, Roots: roots, CheckServer: check}},
		Policy:   vm.OpenPolicy(),
		Tunnel:   wg.Options{Mode: wg.ModeNetstack, Interface: "demo-" + m.ID.String()[:4], PrivateKey: key},
		Serve:    m.serve,
		Log:      log,
	})
}

// serve runs the CVM's servers on its tunnel until ctx is done.
func (m *cvm) serve(ctx context.Context, device guest.Device) error {
	parts, ctx := errgroup.WithContext(ctx)
	for port, serve := range map[uint16]func(net.Listener) error{
		7:    serveEcho,
		80:   m.site("TLS ended at the gateway").Serve,
		8080: m.site("TLS ended at the gateway").Serve,
		443:  m.serveTLS,
	} {
		l, err := device.Listen(netip.AddrPortFrom(device.Address().Addr(), port))
		if err != nil {
			return err
		}
		context.AfterFunc(ctx, func() { l.Close() })
		parts.Go(func() error { return ignoreClosed(serve(l)) })
	}
	return parts.Wait()
}

// ignoreClosed is nil for the errors by which servers report that their listener was
// closed, which is how they are ended here.
func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) || errors.Is(err, http.ErrServerClosed) || strings.Contains(fmt.Sprint(err), "invalid state") {
		return nil
	}
	return err
}

// site is an HTTP server for HTTP/1.1 and HTTP/2, also without TLS.
func (m *cvm) site(where string) *http.Server {
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "Hello from instance %.8s. You asked for %s with %s. %s.\n", m.ID.String(), r.Host, r.Proto, where)
	})
	mux.HandleFunc("/echo", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(w, http.MaxBytesReader(w, r.Body, 1<<30))
	})
	mux.HandleFunc("/ws", serveWebSocket)
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	protocols.SetHTTP2(true)
	return &http.Server{Handler: mux, Protocols: protocols, ReadHeaderTimeout: 10 * time.Second}
}

func (m *cvm) serveTLS(l net.Listener) error {
	s := m.site("TLS ended in this CVM")
	s.TLSConfig = &tls.Config{Certificates: []tls.Certificate{m.web}}
	return s.ServeTLS(l, "", "")
}

func serveWebSocket(w http.ResponseWriter, r *http.Request) {
	c, err := websocket.Accept(w, r, nil)
	if err != nil {
		return // Accept has answered
	}
	defer func() { _ = c.CloseNow() }()
	for {
		kind, message, err := c.Read(r.Context())
		if err != nil || c.Write(r.Context(), kind, message) != nil {
			return
		}
	}
}

// serveEcho sends back what comes, until the listener is closed.
func serveEcho(l net.Listener) error {
	var conns sync.WaitGroup
	defer conns.Wait()
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		conns.Go(func() {
			defer c.Close()
			_, _ = io.Copy(c, c)
		})
	}
}
