package main

import (
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"testing"

	"sallyport/internal/gwtest"
	"sallyport/internal/gwtest/tdxpki"
	"sallyport/ratls"
)

// attestedWeb is an instance's web server on this machine with a certificate.
func attestedWeb(t *testing.T, cert tls.Certificate) (at string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gwtest.ServeWeb(t, l, &tls.Config{Certificates: []tls.Certificate{cert}})
	return l.Addr().String()
}

// upstreamCase is an instance's server, and how a connection to it ends.
type upstreamCase struct {
	name   string
	shown  tls.Certificate
	detail string // in the log, of one that is refused; "": it is served
}

// upstream joins a machine whose ports show the certificates, and asks each.
func (s *attestedSite) upstream(m *tdxpki.Machine, cases ...upstreamCase) {
	s.t.Helper()
	var forwards []string
	for i, c := range cases {
		forwards = append(forwards, "--forward", fmt.Sprintf("%d=%s", 8000+i, attestedWeb(s.t, c.shown)))
	}
	s.joinQuoted("vm1", m, forwards...)
	s.until("the machine is up", serving(1))
	s.said(1, "port policy fetched")
	for i, c := range cases {
		name := fmt.Sprintf("%s-%d", testApp, 8000+i)
		got, err := s.get(name)
		if c.detail == "" {
			if want := "HTTP/1.1  " + name + ".gw.test"; got != want {
				s.t.Errorf("%s: %q, %v; want %q", c.name, got, err, want)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), "internal error") {
			s.t.Errorf("%s: %q, %v; want the alert internal_error", c.name, got, err)
		}
		s.said(1, "msg=connection", name+".gw.test", "reason=attestation_failed", c.detail)
	}
}

// The gateway speaks TLS to the instance, and believes its evidence alone, below the root of
// the KMS that has judged its system.
func TestInstanceMustProveToBeTheAppUpstream(t *testing.T) {
	s := newAttestedSite(t, `tcb_statuses = ["UpToDate"]`)
	s.set("[proxy]", `upstream_ratls = ["*"]`)
	s.run()

	right, otherApp := testGuest(vm1), testGuest(vm1)
	otherApp.AppID[0] ^= 1
	forger, outdated := tdxpki.New(2, s.world.Now), *s.world
	outdated.SetPCK(func(p *tdxpki.PCK) { p.Components[0] = tdxpki.SVNOutOfDate })
	of := func(w *tdxpki.PKI, g tdxpki.Guest) tls.Certificate { return s.certificate(w.Guest(g), nil) }
	stolen := of(s.world, right) // another's evidence beside a key of one's own
	stolen.PrivateKey = s.world.Key("thief")
	otherCA, err := s.ca.Issue(ratls.Request{
		AppID: ratls.AppID(otherApp.AppID), Client: true, Key: s.world.Guest(right).Key, ExtraExtensions: s.world.Guest(right).Evidence(),
	})
	if err != nil {
		t.Fatal(err)
	}
	s.upstream(
		s.world.Guest(right),
		upstreamCase{"right", of(s.world, right), ""},
		upstreamCase{"another app", of(s.world, otherApp), "want " + testApp},
		upstreamCase{"another instance", of(s.world, testGuest(vm2)), "want " + vm1},
		upstreamCase{"another Intel", of(forger, right), "PCK chain"},
		upstreamCase{"out of date", of(&outdated, right), "TCB status OutOfDate"},
		upstreamCase{"no evidence", of(s.world, tdxpki.Guest{AppID: right.AppID, InstanceID: right.InstanceID, Form: tdxpki.FormNone}), "no attestation provided"},
		upstreamCase{"another key", stolen, "tls: "},
		upstreamCase{"another system", s.world.Guest(tdxpki.InAnotherSystem(right)).Certificate, "certificate signed by unknown authority"},
		upstreamCase{"not judged by the KMS", s.world.Guest(right).Certificate, "certificate signed by unknown authority"},
		upstreamCase{"judged as another app's", otherCA, "its issuing CA is of app"},
	)
}

// Where the policy knows the system, no authority has to.
func TestMeasuredInstanceNeedsNoAuthorityUpstream(t *testing.T) {
	s := newAttestedSite(t, `allow_file = "allow.toml"`)
	right := testGuest(vm1)
	m := s.world.Guest(right)
	s.write("allow.toml", s.world.System(right).TOML())
	s.base = strings.Replace(s.base, "[proxy]\n", "[proxy]\nupstream_ratls = [\"*\"]\n", 1)
	s.attest(`allow_file = "allow.toml"`)
	s.run()
	s.upstream(
		m,
		upstreamCase{"measured", m.Certificate, ""},
		upstreamCase{"another system", s.world.Guest(tdxpki.InAnotherSystem(right)).Certificate, "measurements is not on the list"},
	)
}
