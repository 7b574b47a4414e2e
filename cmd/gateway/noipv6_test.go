package main

import (
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"

	"sallyport/internal/gwtest"
	"sallyport/internal/listenat"
)

// Of a kernel without IPv6 alone, which make test-kernel boots: the default listen
// list, [::] elsewhere, and both ends of a tunnel.
func TestGatewayServesWithoutIPv6(t *testing.T) {
	if listenat.HasIPv6() {
		t.Skip("the kernel has IPv6")
	}
	if missing := gwtest.Missing(); missing != "" {
		t.Skip(missing)
	}
	for _, mode := range []string{"kernel", "userspace", "netstack"} {
		s := newSite(t)
		s.host = gwtest.NewHost(t, mode)
		text, err := os.ReadFile(s.path("gateway.toml"))
		if err != nil {
			t.Fatal(err)
		}
		listen := regexp.MustCompile(`(?m)^listen = \["127\.0\.0\.1:\d+"\]\n`)
		changed := listen.ReplaceAllString(string(text), "")
		changed = strings.ReplaceAll(changed, `listen = "127.0.0.1:`, `listen = "[::]:`)
		changed = strings.Replace(changed, `mode = "netstack"`, fmt.Sprintf("mode = %q", mode), 1)
		if err := os.WriteFile(s.path("gateway.toml"), []byte(changed), 0o600); err != nil {
			t.Fatal(err)
		}
		s.clients = "127.0.0.1:443"

		web := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "one") })} //nolint:gosec // a test's
		l := s.host.Listen(t, "127.0.0.1:8080")
		go func() { _ = web.Serve(l) }() // ends with the listener
		s.machine("vm1", vm1)
		s.gateway()
		s.until("the gateway is up", serving(0))
		s.join("vm1", "--forward", "80=127.0.0.1:8080")
		s.until("the machine is up", serving(1))
		if got, err := s.get(vm1); got != "one" {
			t.Errorf("mode %s: %q, %v", mode, got, err)
		}
	}
}
