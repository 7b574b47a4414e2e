package main

import (
	"context"
	"crypto/tls"
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

	"sallyport/internal/vm"
	"sallyport/wg"
)

// demoMachine stands for a confidential VM: one end of a tunnel, and the servers
// that an app would have.
type demoMachine struct {
	ID   vm.InstanceID
	Key  wg.PrivateKey
	Addr netip.Addr
	cert tls.Certificate // its own: the gateway never sees the key
}

func newDemoMachine(i int, ca *demoCA) (*demoMachine, error) {
	key, err := wg.GenerateKey()
	if err != nil {
		return nil, err
	}
	m := &demoMachine{
		ID:   vm.InstanceID(strings.Repeat(string(rune('a'+i)), 40)),
		Key:  key,
		Addr: netip.AddrFrom4([4]byte{10, 8, 0, byte(2 + i)}),
	}
	cert, certKey, err := ca.pair(fmt.Sprintf("%s-443s.%s", demoApp, demoDomain), fmt.Sprintf("%s-443s.%s", m.ID, demoDomain))
	if err != nil {
		return nil, err
	}
	m.cert, err = tls.X509KeyPair(cert, certKey)
	return m, err
}

// run brings the machine's tunnel up and serves until ctx is done.
func (m *demoMachine) run(ctx context.Context, gateway wg.Peer, log *slog.Logger) error {
	device, err := wg.Open(ctx, wg.Options{
		Mode: wg.ModeNetstack, Guest: true, Interface: "demo-" + string(m.ID[:4]),
		PrivateKey: m.Key, Address: netip.PrefixFrom(m.Addr, 16), Log: log,
	})
	if err != nil {
		return err
	}
	defer func() { _ = device.Close() }() // its tunnel ends with the demo in any case
	if err := device.SetPeer(ctx, gateway); err != nil {
		return err
	}
	parts, ctx := errgroup.WithContext(ctx)
	for port, serve := range map[uint16]func(net.Listener) error{
		7:    serveEcho,
		80:   m.web("TLS ended at the gateway").Serve,
		8080: m.web("TLS ended at the gateway").Serve,
		443:  m.serveTLS,
	} {
		l, err := device.Listen(netip.AddrPortFrom(m.Addr, port))
		if err != nil {
			return err
		}
		context.AfterFunc(ctx, func() { l.Close() })
		parts.Go(func() error { return ignoreClosed(serve(l)) })
	}
	return parts.Wait()
}

// ignoreClosed is nil for the errors by which servers tell that their listener was
// closed, which is how they are ended here.
func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) || errors.Is(err, http.ErrServerClosed) || strings.Contains(fmt.Sprint(err), "invalid state") {
		return nil
	}
	return err
}

// web is an HTTP server for HTTP/1.1 and HTTP/2, also without TLS.
func (m *demoMachine) web(where string) *http.Server {
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "Hello from machine %.8s. You asked for %s with %s. %s.\n", m.ID, r.Host, r.Proto, where)
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

func (m *demoMachine) serveTLS(l net.Listener) error {
	s := m.web("TLS ended in this machine")
	s.TLSConfig = &tls.Config{Certificates: []tls.Certificate{m.cert}}
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
