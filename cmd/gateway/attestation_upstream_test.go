package main

import (
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"testing"

	"sallyport/internal/gwtest/tdxpki"
)

// attestedWeb is an instance's web server on this machine with a machine's certificate.
func attestedWeb(t *testing.T, m *tdxpki.Machine) (at string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	serveWeb(t, l, &tls.Config{Certificates: []tls.Certificate{m.Certificate}})
	return l.Addr().String()
}

// The gateway speaks TLS to the instance, and believes its evidence alone.
func TestInstanceMustProveToBeTheAppUpstream(t *testing.T) {
	s := newAttestedSite(t, `tcb_statuses = ["UpToDate"]`)
	s.set("[proxy]", `upstream_ratls = ["*"]`)
	s.run()

	right, otherApp := testGuest(vm1), testGuest(vm1)
	otherApp.AppID[0] ^= 1
	forger, outdated := tdxpki.New(2, s.world.Now), *s.world
	outdated.SetPCK(func(p *tdxpki.PCK) { p.Components[0] = tdxpki.SVNOutOfDate })
	stolen := *s.world.Guest(right) // another's evidence beside a key of one's own
	stolen.Certificate.PrivateKey = s.world.Key("thief")
	cases := []struct {
		name   string
		m      *tdxpki.Machine
		detail string // in the log, of one that is refused
	}{
		{"right", s.world.Guest(right), ""},
		{"another app", s.world.Guest(otherApp), "want " + demoApp},
		{"another instance", s.world.Guest(testGuest(vm2)), "want " + vm1},
		{"another Intel", forger.Guest(right), "PCK chain"},
		{"out of date", outdated.Guest(right), "TCB status OutOfDate"},
		{"no evidence", s.world.Guest(tdxpki.Guest{AppID: right.AppID, InstanceID: right.InstanceID, Form: tdxpki.FormNone}), "no attestation provided"},
		{"another key", &stolen, ""},
	}
	var forwards []string
	for i, c := range cases {
		forwards = append(forwards, "--forward", fmt.Sprintf("%d=%s", 8000+i, attestedWeb(t, c.m)))
	}
	s.joinQuoted("vm1", s.world.Guest(right), forwards...)
	s.until("the machine is up", serving(1))
	for i, c := range cases {
		name := fmt.Sprintf("%s-%d", demoApp, 8000+i)
		got, err := s.get(name)
		if i == 0 {
			if want := "HTTP/1.1  " + name + ".gw.test"; got != want {
				t.Errorf("%s: %q, %v; want %q", c.name, got, err, want)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), "internal error") {
			t.Errorf("%s: %q, %v; want the alert internal_error", c.name, got, err)
		}
		s.said(1, "msg=connection", name+".gw.test", "reason=attestation_failed", c.detail)
	}
}
