package gateway

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

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
	system := a.World.System(tdxpki.Guest{})
	known := ratls.Measurement{MRTD: &system.MRTD, RTMR0: &system.RTMR0, RTMR1: &system.RTMR1, RTMR2: &system.RTMR2}
	v, err := ratls.NewVerifier(a.judging(t, &ratls.Policy{MaxAge: 24 * time.Hour, Measurements: []ratls.Measurement{known}}))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// peer is the app whose machine quotes.
func (a guestAgent) peer() ratls.Peer {
	return ratls.Peer{App: ratls.AppID(a.World.Guest(tdxpki.Guest{}).AppInfo.AppID)}
}

// ownSite is a site whose certificate is of the gateway's own making.
type ownSite struct{ *site }

// newOwnSite opens a gateway that asks the agent at socket; it serves after run.
func newOwnSite(t *testing.T, socket string, more ...string) (ownSite, error) {
	t.Helper()
	s := ownSite{&site{t: t, dir: t.TempDir()}}
	s.write("gateway.toml", fmt.Sprintf("[[domain]]\nname = \"gw.test\"\nratls = true\n[proxy]\nlisten = [\"127.0.0.1:0\"]\n"+
		"[wireguard]\nmode = \"none\"\n[store]\npath = \"store\"\n[admin]\nlisten = \"127.0.0.1:0\"\n[rpc]\ndstack_agent = %q\n", socket)+strings.Join(more, ""))
	return s, s.open()
}

// dialling has an attested client look for all names at the gateway.
func (s ownSite) dialling(client *http.Client) *http.Client {
	transport := reflect.ValueOf(client.Transport).FieldByName("Transport").Interface().(*http.Transport)
	transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "tcp", s.clients())
	}
	transport.DisableKeepAlives = true
	return client
}
