package main

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/vishvananda/netlink"

	"sallyport/internal/gwtest"
)

// The gateway and the machine are on one host here, and nothing but the tunnel's
// interface is the machine's.
func TestJoinedMachineMakesItsInterfaceAgain(t *testing.T) {
	if missing := gwtest.Missing(); missing != "" {
		t.Skip(missing)
	}
	s := newSite(t)
	s.host = gwtest.NewHost(t, "both")
	web := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "one") })} //nolint:gosec // a test's
	l := s.host.Listen(t, "0.0.0.0:80")
	go func() { _ = web.Serve(l) }() // ends with the listener
	s.machine("vm1", vm1)
	s.gateway()
	s.until("the gateway is up", serving(0))
	const link = "wg-joined"
	s.start("join", "--url", "https://"+s.guests, "--cert", s.path("vm1.pem"), "--key", s.path("vm1.key"),
		"--ca", s.path("pki/ca.pem"), "--state", s.path("vm1-state"), "--mode", gwtest.TunnelMode(), "--interface", link)
	s.until("the machine is up", serving(1))
	if got, err := s.get(vm1); got != "one" {
		t.Fatalf("%q, %v", got, err)
	}
	err := s.host.Do(func() error {
		l, err := netlink.LinkByName(link)
		if err != nil {
			return err
		}
		return netlink.LinkDel(l)
	})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := s.get(vm1); got != "one" {
		t.Errorf("after its interface was deleted: %q, %v", got, err)
	}
}
