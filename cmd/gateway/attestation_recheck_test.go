package main

import (
	"os"
	"strings"
	"testing"

	"sallyport/admin"
)

// A policy that became tighter while the gateway was down holds from its start on, though
// nobody has Intel's collateral; a machine that nobody can judge is served, and shown with
// the end of that.
func TestStoredEvidenceIsHeldAgainstThePolicyWithoutCollateral(t *testing.T) {
	s := newAttestedSite(t)
	s.run()
	if err := s.register(s.certificate(s.world.Guest(testGuest(vm1)), nil)); err != nil {
		t.Fatal(err)
	}
	s.stop()
	s.server.Close() // the PCCS
	if err := os.RemoveAll(s.path("store/collateral")); err != nil {
		t.Fatal(err)
	}

	s.attest(`undecided_for = "1h"`)
	s.run()
	s.until("it is served for an hour", func(st *admin.Status) bool {
		i := st.Instances[0]
		return i.Health != "refused" && !i.UndecidedUntil.IsZero() && strings.Contains(i.Reason, "its evidence cannot be appraised again at the moment; it is served until ")
	})
	s.stop()

	s.write("allow.toml", "apps = [\""+strings.Repeat("ee", 20)+"\"]\n")
	s.attest(`allow_file = "allow.toml"`)
	g := s.run()
	if st := g.Status().Instances; len(st) != 1 || st[0].Health != "refused" || !strings.Contains(st[0].Reason, "app is not on the list") {
		t.Errorf("after the start: %+v", st)
	}
	s.said(1, "registered instances are refused from the start")
}
