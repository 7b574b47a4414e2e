package main

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"

	"sallyport/admin"
	"sallyport/internal/gwtest"
)

// With mode "none" an instance may be at an address of this machine, and a client
// chooses the port: it must not be one at which the gateway itself listens, whatever
// address it listens at.
func TestNoClientIsLedToAListenerOfTheGateway(t *testing.T) {
	ca := gwtest.NewCA(t)
	s := &site{t: t, dir: t.TempDir(), clients: freeTCP(t), admin: freeTCP(t), roots: ca.Pool()}
	gwtest.WritePEM(t, s.dir, "web", ca.Server(t, "*.gw.test"))
	_, operators, _ := net.SplitHostPort(s.admin)
	_, clients, _ := net.SplitHostPort(s.clients)
	text := fmt.Sprintf(`
[[domain]]
name = "gw.test"
cert = "web.pem"
key = "web.key"
[proxy]
listen = [%q]
[wireguard]
mode = "none"
[[instance]]
app_id = "app"
address = "127.0.0.1"
[[instance]]
app_id = "other"
address = "127.0.0.2"
[store]
path = "store"
[admin]
listen = "0.0.0.0:%s"
[log]
access = true
`, s.clients, operators)
	if err := os.WriteFile(s.path("gateway.toml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s.gateway()
	s.until("the gateway is up", func(*admin.Status) bool { return true })
	for _, name := range []string{"app-" + operators, "other-" + operators, "app-" + clients + "s"} {
		if body, err := s.get(name); err == nil || !strings.Contains(err.Error(), "access denied") {
			t.Errorf("%s: %q, %v, want an alert", name, body, err)
		}
		if line := s.access("server_name=" + name + ".gw.test"); !strings.Contains(line, "reason=own_listener") {
			t.Errorf("%s: %s", name, line)
		}
	}
	// What somebody else listens at is nobody's business here.
	l, port := gwtest.Listen(t, "127.0.0.1")
	gwtest.ServeWeb(t, l[0], nil)
	if body, err := s.get("app-" + port); err != nil || body != "plain" {
		t.Errorf("another port: %q, %v", body, err)
	}
	// That port on 127.0.0.2 is not the listener for clients, which has one address.
	c, err := tls.Dial("tcp", s.clients, &tls.Config{ServerName: "other-" + clients + "s.gw.test", RootCAs: s.roots})
	if err == nil {
		_, err = io.ReadAll(c)
		c.Close()
	}
	if line := s.access("server_name=other-" + clients + "s.gw.test"); !strings.Contains(line, "reason=dial_failed") {
		t.Errorf("a port of another address: %v, %s", err, line)
	}
	// And the operators' pages are still there for operators.
	resp, err := http.Get("http://" + s.admin + "/healthz")
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Errorf("/healthz: %v, %v", resp, err)
	}
	if err == nil {
		resp.Body.Close()
	}
}
