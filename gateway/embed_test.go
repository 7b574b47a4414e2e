package gateway

import (
	"fmt"
	"net"
	"os"
	"runtime"
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
		s := newTunnelSite(t, anyPort, anyPort, anyPort)
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

// anyPort is a free port.
const anyPort = "127.0.0.1:0"

// newTunnelSite is a site with a tunnel in user space, where clients, guests and operators
// connect to these addresses.
func newTunnelSite(t *testing.T, clients, guests, operators string) *site {
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
listen = [%q]
[wireguard]
mode = "netstack"
listen_port = %d
endpoint = "127.0.0.1:%d"
[rpc]
listen = %q
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
`, clients, port, port, guests, operators))
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

// A listener of New cannot be opened, for its port is taken: what was opened before is
// closed again, and nothing runs.
func TestFailedNewLeavesNothingOpen(t *testing.T) {
	taken, err := net.Listen("tcp", anyPort)
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	at := taken.Addr().String()
	for says, s := range map[string]*site{
		at + ": ":          newTunnelSite(t, at, anyPort, anyPort),
		"[rpc] listen: ":   newTunnelSite(t, anyPort, at, anyPort),
		"[admin] listen: ": newTunnelSite(t, anyPort, anyPort, at),
	} {
		files, routines := openFiles(t), runtime.NumGoroutine()
		for range 3 {
			if err := s.open(); err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "\n") {
				t.Fatalf("want one line that says %q: %v", says, err)
			}
		}
		gwtest.Await(t, "what ran has ended: "+says, func() bool { return runtime.NumGoroutine() <= routines })
		if now := openFiles(t); now > files {
			t.Errorf("%s%d descriptors are open, %d before", says, now, files)
		}
		for l := range strings.Lines(s.log.String()) {
			_, at, found := strings.Cut(l, `msg="listening for clients" address=`)
			if !found {
				continue
			}
			at, _, _ = strings.Cut(at, " ")
			if c, err := net.Dial("tcp", at); err == nil {
				c.Close()
				t.Errorf("%sclients still reach %s", says, at)
			}
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
