package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"reflect"
	"testing"
	"time"

	"sallyport/config"
	"sallyport/internal/gwtest"
	"sallyport/internal/gwtest/tdxpki"
	"sallyport/ratls"
	"sallyport/ratls/pccs"
	"sallyport/ratls/qvl"
)

// guestAgent is the agent of a simulated CVM, and how to judge what it quotes.
type guestAgent struct{ *tdxpki.Agent }

func newGuestAgent(t *testing.T) guestAgent { return guestAgent{tdxpki.NewAgent(t)} }

// judging is how to judge by the world's root in place of Intel's.
func (a guestAgent) judging(t *testing.T, p *ratls.Policy) ratls.VerifierOptions {
	t.Helper()
	c, err := qvl.ParseCollateral(a.World.Collateral().Sign().File())
	if err != nil {
		t.Fatal(err)
	}
	fixed, err := pccs.NewFixed(c, a.World.Root.Cert())
	if err != nil {
		t.Fatal(err)
	}
	return ratls.VerifierOptions{Collateral: fixed, Root: a.World.Root.Cert(), Policy: p}
}

// verifier judges so, and wants evidence of at most a day.
func (a guestAgent) verifier(t *testing.T) *ratls.Verifier {
	t.Helper()
	v, err := ratls.NewVerifier(a.judging(t, &ratls.Policy{MaxAge: 24 * time.Hour, Measurements: []ratls.Measurement{systemOf(a.World, tdxpki.Guest{})}}))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// peer is the app whose machine quotes.
func (a guestAgent) peer() ratls.Peer {
	return ratls.Peer{App: ratls.AppID(a.World.Guest(tdxpki.Guest{}).AppInfo.AppID)}
}

// ratlsSite is a gateway in this process whose certificate is of its own making.
type ratlsSite struct {
	*site
	g   *gateway
	log safeBuffer
}

// newRATLSSite opens a gateway that asks the agent at socket; it serves after run.
func newRATLSSite(t *testing.T, socket string, instances ...host) (*ratlsSite, error) {
	t.Helper()
	s := &ratlsSite{site: &site{t: t, dir: t.TempDir(), admin: freeTCP(t)}}
	text := fmt.Sprintf("[[domain]]\nname = \"gw.test\"\nratls = true\n[proxy]\nlisten = [\"127.0.0.1:0\"]\n"+
		"[wireguard]\nmode = \"none\"\n[store]\npath = \"store\"\n[admin]\nlisten = %q\n[rpc]\ndstack_agent = %q\n", s.admin, socket)
	for _, h := range instances {
		text += fmt.Sprintf("[[instance]]\napp_id = %q\ninstance_id = %q\naddress = %q\n", h.app, h.instance, h.addr)
	}
	if err := os.WriteFile(s.path("gateway.toml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(s.path("gateway.toml"))
	if err != nil {
		t.Fatal(err)
	}
	s.g, err = newGateway(t.Context(), cfg, slog.New(slog.NewTextHandler(&s.log, nil)))
	if err != nil {
		return s, err
	}
	s.clients = s.g.addrs[0].String()
	return s, nil
}

// run serves until the test ends.
func (s *ratlsSite) run() {
	ctx, stop := context.WithCancel(s.t.Context())
	done := make(chan error, 1)
	go func() { done <- s.g.serve(ctx) }()
	s.t.Cleanup(func() {
		stop()
		s.g.relay.Abort()
		if err := <-done; err != nil {
			s.t.Error(err)
		}
	})
}

// dialling has an attested client look for all names at the gateway.
func (s *ratlsSite) dialling(client *http.Client) *http.Client {
	transport := reflect.ValueOf(client.Transport).FieldByName("Transport").Interface().(*http.Transport)
	transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "tcp", s.clients)
	}
	transport.DisableKeepAlives = true
	return client
}

// safeBuffer is a log that is read while it is written.
type safeBuffer = gwtest.Buffer
