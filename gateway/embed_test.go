package gateway

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"

	"sallyport/internal/gwtest"
	"sallyport/ratls"
)

// A program may run several gateways: each serves its own domain and instances, by its own
// tunnel, and has its own metrics.
func TestTwoGatewaysRunInOneProcess(t *testing.T) {
	listeners, port := gwtest.Listen(t, one)
	gwtest.ServeWeb(t, listeners[0], nil)
	sites := []*site{newSite(t, "", shopOne), newSite(t, "", shopOne)}
	for _, s := range sites {
		s.run()
	}
	for i, s := range sites {
		if got, err := s.get("aaaa-" + port); got != "plain" {
			t.Errorf("gateway %d: %q, %v", i, got, err)
		}
		if _, err := s.body("https://aaaa-"+port+".gw.test/", sites[1-i].trust()); err == nil {
			t.Errorf("gateway %d shows the certificate of the other one", i)
		}
		if code, text := s.page("/metrics"); code != 200 || !strings.Contains(text, "gateway_descriptors_budget") {
			t.Errorf("gateway %d: /metrics: %d", i, code)
		}
		if code, text := s.page("/readyz"); code != 200 {
			t.Errorf("gateway %d: /readyz: %d %s", i, code, text)
		}
	}
}

// Two gateways with tunnels in user space, each with its own key, guests' API and store.
func TestTwoGatewaysHaveTunnelsInOneProcess(t *testing.T) {
	var keys []string
	for range 2 {
		s := newTunnelSite(t, "127.0.0.1:0")
		s.run()
		st := s.g.Status()
		if st.TunnelFault != "" || !s.g.Addresses().Guests.IsValid() {
			t.Errorf("tunnel %q, addresses %+v", st.TunnelFault, s.g.Addresses())
		}
		keys = append(keys, st.PublicKey)
	}
	if keys[0] == keys[1] {
		t.Errorf("both have the key %s", keys[0])
	}
}

// newTunnelSite is a site with a tunnel in user space and an API for guests. The operators'
// listener is at operators.
func newTunnelSite(t *testing.T, operators string) *site {
	t.Helper()
	s := newSite(t, "")
	kms, err := ratls.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	root, _, err := kms.EncodePEM()
	if err != nil {
		t.Fatal(err)
	}
	cert, err := kms.Issue(ratls.Request{AppID: ratls.AppID{1}, Names: []string{"127.0.0.1"}, Server: true})
	if err != nil {
		t.Fatal(err)
	}
	chain, key, err := ratls.EncodePEM(cert)
	if err != nil {
		t.Fatal(err)
	}
	s.write("kms.pem", string(root))
	s.write("rpc.pem", string(chain))
	s.write("rpc.key", string(key))
	port := freeUDP(t)
	s.write("gateway.toml", fmt.Sprintf(`
[[domain]]
name = "gw.test"
cert = "web.pem"
key = "web.key"
[proxy]
listen = ["127.0.0.1:0"]
[wireguard]
mode = "netstack"
listen_port = %d
endpoint = "127.0.0.1:%d"
[rpc]
listen = "127.0.0.1:0"
cert = "rpc.pem"
key = "rpc.key"
client_ca = "kms.pem"
[store]
path = "store"
[admin]
listen = %q
[custom_domain]
enabled = true
resolvers = ["127.0.0.1:53"]
`, port, port, operators))
	return s
}

// freeUDP is a port that nobody uses now: the configuration has to name it.
func freeUDP(t *testing.T) int {
	t.Helper()
	c, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return c.LocalAddr().(*net.UDPAddr).Port
}

// The last step of New fails, for its port is taken: what the others opened is closed.
func TestFailedNewLeavesNothingOpen(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	s := newTunnelSite(t, taken.Addr().String())
	first := openFiles(t) // the poller's own among them, because of the listener
	for range 3 {
		if err := s.open(); err == nil || !strings.Contains(err.Error(), "[admin] listen: ") || strings.Contains(err.Error(), "\n") {
			t.Fatalf("want one line that says [admin] listen: %v", err)
		}
	}
	if now := openFiles(t); now > first {
		t.Errorf("%d descriptors are open, %d before", now, first)
	}
	for l := range strings.Lines(s.log.String()) {
		_, at, found := strings.Cut(l, `msg="listening for clients" address=`)
		if !found {
			continue
		}
		at, _, _ = strings.Cut(at, " ")
		if c, err := net.Dial("tcp", netip.MustParseAddrPort(at).String()); err == nil {
			c.Close()
			t.Errorf("clients still reach %s", at)
		}
	}
}

func openFiles(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}
