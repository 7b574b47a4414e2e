package e2e

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"sallyport/internal/gwtest"

	"golang.zx2c4.com/wireguard/wgctrl/wgtypes"
)

// What every world has.
const (
	domain     = "gw.example"
	gateway4   = "192.0.2.1"
	gateway6   = "2001:db8::1"
	tlsPort    = "443"
	wgPort     = 51820
	adminAddr  = "127.0.0.1:9901"
	tunnelAddr = "10.8.0.1"

	// patience is how long a test waits for what must happen. It is no bound on
	// the gateway: tests that have one say so.
	patience = 30 * time.Second
)

// A world is a client, a gateway's machine and two CVMs, joined by cables. Its
// tunnels are up once start (gateway_test.go) has returned.
type world struct {
	t       *testing.T
	dir     string
	ca      *gwtest.CA
	client  *gwtest.Host
	gateway *gwtest.Host
	wgKey   wgtypes.Key // the gateway's
	link    string      // its interface: the name is the machine's, shared by all tests
	cvms    [2]*cvm
}

// A cvm is one confidential VM: one instance of one app.
type cvm struct {
	app, id string
	host    *gwtest.Host
	direct  netip.Addr // outside of the tunnel
	guest   gwtest.Guest
	tunnel  *gwtest.Process
}

// newWorld lays the cables. The CVMs are instances of the apps alpha and beta.
func newWorld(t *testing.T, uses ...string) *world {
	t.Helper()
	need(t, uses...)
	w := &world{
		t:       t,
		dir:     t.TempDir(),
		ca:      gwtest.NewCA(t),
		client:  gwtest.NewHost(t, "client"),
		gateway: gwtest.NewHost(t, "gateway"),
		wgKey:   newKey(t),
		link:    "wg-" + randomHex(4),
	}
	w.ca.WriteRoot(t, w.root())
	gwtest.Connect(t, w.client, "eth0", prefixes("192.0.2.2/24", "2001:db8::2/64"),
		w.gateway, "eth0", prefixes(gateway4+"/24", gateway6+"/64"))
	// One machine stands for many clients, each with ports of its own. The gateway's machine
	// has what the kernel gives it.
	w.client.Sysctl(t, "ipv4/ip_local_port_range", "1024 65000")
	w.client.Sysctl(t, "ipv4/tcp_tw_reuse", "1")
	w.cvms[0] = w.newCVM("alpha", "i1", "10.8.0.2", "198.51.100.1/30", "198.51.100.2/30")
	w.cvms[1] = w.newCVM("beta", "i2", "10.8.0.3", "198.51.100.5/30", "198.51.100.6/30")
	return w
}

func (w *world) newCVM(app, id, tunnel, gatewayEnd, ownEnd string) *cvm {
	w.t.Helper()
	h := gwtest.NewHost(w.t, id)
	gwtest.Connect(w.t, w.gateway, id, prefixes(gatewayEnd), h, "eth0", prefixes(ownEnd))
	return &cvm{app: app, id: id, host: h, direct: prefixes(ownEnd)[0].Addr(), guest: gwtest.Guest{
		Key:      newKey(w.t),
		Address:  netip.MustParseAddr(tunnel),
		Gateway:  w.wgKey.PublicKey(),
		Endpoint: netip.AddrPortFrom(prefixes(gatewayEnd)[0].Addr(), wgPort),
		Port:     wgPort,
		Allowed:  prefixes("10.8.0.0/16"),
	}}
}

// shakeHands starts the CVM's tunnel, whose first packet is a handshake.
func (c *cvm) shakeHands(t *testing.T) {
	t.Helper()
	program, err := programs.guest()
	if err != nil {
		t.Fatal(err)
	}
	c.guest.Program = program
	c.tunnel = c.guest.Start(t, c.host)
}

// in is the same world for a subtest, whose failures and cleanups are its own.
func (w *world) in(t *testing.T) *world {
	sub := *w
	sub.t = t
	return &sub
}

// root is the file with the authority's certificate.
func (w *world) root() string { return filepath.Join(w.dir, "ca.pem") }

// name is a server name of app: its suffix is a port with or without a letter.
func name(app, suffix string) string {
	if suffix != "" {
		suffix = "-" + suffix
	}
	return app + suffix + "." + domain
}

// run runs a program on the client's machine and returns what it printed.
func (w *world) run(stdin, program string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	return w.client.Output(ctx, stdin, program, args...)
}

// eventually tries ok until it is true, and fails when it does not become so.
func eventually(t *testing.T, limit time.Duration, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.Now().Add(limit)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %s", limit, what)
		}
		<-tick.C
	}
}

func prefixes(list ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, s := range list {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

func newKey(t *testing.T) wgtypes.Key {
	t.Helper()
	k, err := wgtypes.GeneratePrivateKey()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func randomHex(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}
