package wg

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// netstackPair is a gateway and a guest on this machine's loopback, and where the
// guest serves an echo.
func netstackPair(t testing.TB) (gateway, guest *Device, at netip.AddrPort) {
	t.Helper()
	openOne := func(address string, isGuest bool) *Device {
		d, err := Open(t.Context(), Options{
			Mode: ModeNetstack, Interface: "wg-test", PrivateKey: newKey(t),
			Address: netip.MustParsePrefix(address), Guest: isGuest,
		})
		must(t, err)
		t.Cleanup(func() { must(t, d.Close()) })
		return d
	}
	gateway, guest = openOne("10.8.0.1/16", false), openOne("10.8.0.2/16", true)
	must(t, gateway.SetPeer(t.Context(), Peer{Key: guest.PublicKey(), Address: netip.MustParseAddr("10.8.0.2")}))
	must(t, guest.SetPeer(t.Context(), Peer{
		Key: gateway.PublicKey(), Address: netip.MustParseAddr("10.8.0.1"),
		Endpoint: netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(gateway.ListenPort())),
	}))
	at = netip.MustParseAddrPort("10.8.0.2:80")
	l, err := guest.Listen(at)
	must(t, err)
	serveEcho(t, l)
	return gateway, guest, at
}

func dialThrough(t testing.TB, d *Device, to netip.AddrPort) (net.Conn, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	return d.Dial(ctx, to)
}

func TestNetstackGatewayReachesGuest(t *testing.T) {
	gateway, guest, at := netstackPair(t)
	c, err := dialThrough(t, gateway, at)
	must(t, err)
	mustEcho(t, c)
	shook, err := gateway.Handshakes(t.Context())
	must(t, err)
	if age := time.Since(shook[guest.PublicKey()]); age < 0 || age > patience {
		t.Errorf("age of the handshake is %s", age)
	}
	must(t, gateway.Ready())
}

func TestNetstackGuestReachesNothing(t *testing.T) {
	gateway, guest, at := netstackPair(t)
	c, err := dialThrough(t, gateway, at)
	must(t, err)
	mustEcho(t, c)
	here, err := net.Listen("tcp4", "127.0.0.1:0")
	must(t, err)
	defer here.Close()
	port := uint16(here.Addr().(*net.TCPAddr).Port)
	if c, err := dialThrough(t, guest, netip.AddrPortFrom(netip.MustParseAddr("10.8.0.1"), port)); err == nil {
		c.Close()
		t.Error("the guest reached a port of the gateway's host")
	} else if !strings.Contains(err.Error(), "refused") {
		t.Errorf("error %v", err)
	}
	if _, err := gateway.Listen(netip.MustParseAddrPort("10.8.0.1:80")); err == nil {
		t.Error("the gateway listens inside the tunnel")
	}
}

func TestNetstackPeerRepeatAndRemoval(t *testing.T) {
	gateway, guest, at := netstackPair(t)
	c, err := dialThrough(t, gateway, at)
	must(t, err)
	mustEcho(t, c)
	endpoint := func() (ep netip.AddrPort) {
		must(t, gateway.inTurn(t.Context(), func() error {
			s, err := gateway.backend.dump()
			ep = s.peers[guest.PublicKey()].endpoint
			return err
		}))
		return ep
	}
	before := endpoint()
	must(t, gateway.SetPeer(t.Context(), Peer{Key: guest.PublicKey(), Address: at.Addr()}))
	if after := endpoint(); !before.IsValid() || after != before {
		t.Errorf("endpoint %s became %s", before, after)
	}
	must(t, gateway.RemovePeer(t.Context(), guest.PublicKey()))
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	if c, err := gateway.Dial(ctx, at); err == nil {
		c.Close()
		t.Error("removed guest still answers")
	}
}

// Close with connections in full flow: nothing may panic or race.
func TestNetstackClosesUnderLoad(t *testing.T) {
	gateway, _, at := netstackPair(t)
	for range 4 {
		c, err := dialThrough(t, gateway, at)
		must(t, err)
		first := make(chan struct{})
		go func() {
			_, _ = c.Write(make([]byte, 1000))
			close(first)
			for {
				if _, err := c.Write(make([]byte, 100_000)); err != nil {
					return
				}
			}
		}()
		<-first
	}
	must(t, gateway.Close())
	if _, err := dialThrough(t, gateway, at); err == nil {
		t.Error("dialled through a closed device")
	}
}
