package gwtest

import (
	"fmt"
	"net/netip"
	"os"
	"testing"

	"golang.zx2c4.com/wireguard/wgctrl/wgtypes"
)

func TestMain(m *testing.M) {
	if IsGuest() {
		fmt.Fprintln(os.Stderr, RunGuest())
		return
	}
	m.Run()
}

// The kit's own tunnel carries a stream whole: two guests, each the other's
// gateway.
func TestTwoGuestsReachEachOther(t *testing.T) {
	if missing := Missing(); missing != "" {
		t.Skip(missing)
	}
	a, b := NewHost(t, "a"), NewHost(t, "b")
	prefix := func(s string) []netip.Prefix { return []netip.Prefix{netip.MustParsePrefix(s)} }
	Connect(t, a, "eth0", prefix("192.0.2.1/24"), b, "eth0", prefix("192.0.2.2/24"))
	ka, kb := key(t), key(t)
	Guest{
		Key: ka, Address: netip.MustParseAddr("10.8.0.1"), Gateway: kb.PublicKey(), Port: 51820,
		Endpoint: netip.MustParseAddrPort("192.0.2.2:51820"), Allowed: prefix("10.8.0.2/32"), Program: os.Args[0],
	}.Start(t, a)
	Guest{
		Key: kb, Address: netip.MustParseAddr("10.8.0.2"), Gateway: ka.PublicKey(), Port: 51820,
		Endpoint: netip.MustParseAddrPort("192.0.2.1:51820"), Allowed: prefix("10.8.0.1/32"), Program: os.Args[0],
	}.Start(t, b)

	const n = 16 << 20
	l := b.Listen(t, "10.8.0.2:0")
	sent := make(chan error, 1)
	go func() {
		c, err := l.Accept()
		if err == nil {
			defer c.Close()
			buf := make([]byte, 128<<10)
			for r := Stream(7, n); err == nil; {
				var k int
				if k, err = r.Read(buf); k > 0 {
					_, err = c.Write(buf[:k])
				}
			}
		}
		sent <- err
	}()
	c, err := a.Dial(t.Context(), l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	got, err := Digest(c)
	if want := StreamSum(7, n); err != nil || got != want {
		t.Errorf("received %s (%v), sent %s; the sender: %v", got, err, want, <-sent)
	}
}

func key(t *testing.T) wgtypes.Key {
	t.Helper()
	k, err := wgtypes.GeneratePrivateKey()
	if err != nil {
		t.Fatal(err)
	}
	return k
}
