package main

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"sallyport/internal/gwtest"
)

// A gateway with the key of another would take its guests away, and one with its
// interface too would delete that at its end.
func TestSecondGatewayWithTheSameKeyIsRefused(t *testing.T) {
	first := newSite(t)
	gw := first.gateway()
	first.until("the gateway is up", serving(0))

	second := newSite(t)
	text, err := os.ReadFile(second.path("gateway.toml"))
	if err != nil {
		t.Fatal(err)
	}
	own := fmt.Sprintf("[wireguard]\nprivate_key_file = %q", first.path("store/wireguard.key"))
	if err := os.WriteFile(second.path("gateway.toml"), []byte(strings.Replace(string(text), "[wireguard]", own, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	code, _, said := gwtest.Outcome(t, "run", "--config", second.path("gateway.toml"))
	if code != 1 || !strings.Contains(said, fmt.Sprintf("is used by process %d (", gw.Process.Pid)) {
		t.Errorf("exit code %d, it says %s", code, said)
	}
}

func TestSecondJoinWithTheSameStateIsRefused(t *testing.T) {
	s := newSite(t)
	s.machine("vm1", vm1)
	s.gateway()
	s.until("the gateway is up", serving(0))
	first := s.join("vm1", "--forward", "80="+web(t, "one"))
	s.until("the machine is up", serving(1))
	code, _, said := gwtest.Outcome(t, "join", "--url", "https://"+s.guests, "--cert", s.path("vm1.pem"), "--key", s.path("vm1.key"),
		"--ca", s.path("pki/ca.pem"), "--state", s.path("vm1-state"), "--mode", "netstack", "--forward", "80=127.0.0.1:1")
	if code != 1 || !strings.Contains(said, fmt.Sprintf("is used by process %d (", first.Process.Pid)) {
		t.Errorf("exit code %d, it says %s", code, said)
	}
	if got, err := s.get(vm1); got != "one" {
		t.Errorf("the first: %q, %v", got, err)
	}
}
