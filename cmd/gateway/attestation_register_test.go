package main

import (
	"crypto/ecdsa"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"sallyport/admin"
	"sallyport/internal/gwtest/tdxpki"
	"sallyport/ratls"
	"sallyport/rpc"
)

// strict is a policy that accepts the machines of testGuest, and says so: app and system
// are listed.
func (s *attestedSite) strict() string {
	td := s.world.Quote().TD
	s.write("allow.toml", fmt.Sprintf("apps = [%q]\n[[measurement]]\nmrtd = \"%x\"\n", testApp, td.MRTD))
	return "allow_file = \"allow.toml\"\nrefused_advisories = [\"INTEL-SA-00615\"]"
}

func TestQuotedRegistrationIsAccepted(t *testing.T) {
	s := newAttestedSite(t)
	s.set("[rpc]", "require_quote = true")
	s.attest(s.strict())
	s.run()
	for i, form := range []tdxpki.Form{tdxpki.FormV0, tdxpki.FormV1, tdxpki.FormLegacy} {
		g := testGuest(fmt.Sprintf("%040d", i+1))
		g.Form = form
		if err := s.register(s.certificate(s.world.Guest(g), nil)); err != nil {
			t.Errorf("form %d, known by its evidence alone: %v", form, err)
		}
	}
	m := s.world.Guest(testGuest(vm1))
	info := &ratls.AppInfo{AppID: ratls.AppID(m.AppInfo.AppID), InstanceID: ratls.InstanceID(m.AppInfo.InstanceID), ComposeHash: ratls.Hash(m.AppInfo.ComposeHash)}
	if err := s.register(s.certificate(m, info)); err != nil {
		t.Errorf("with the authority's word: %v", err)
	}
	s.until("they are registered", func(st *admin.Status) bool { return len(st.Instances) == 4 })
}

func TestGuestWithoutAQuoteIsToldToBringOne(t *testing.T) {
	s := newAttestedSite(t)
	s.set("[rpc]", "require_quote = true")
	s.run()
	g := testGuest(vm1)
	g.Form = tdxpki.FormNone
	m := s.world.Guest(g)
	info := &ratls.AppInfo{AppID: ratls.AppID(m.AppInfo.AppID), InstanceID: ratls.InstanceID(m.AppInfo.InstanceID)}
	err := s.register(s.certificate(m, info))
	if !errors.Is(err, rpc.ErrNoAttestation) || !strings.Contains(err.Error(), "no attestation provided") {
		t.Errorf("%v", err)
	}
}

// What each guest reads that is refused: only one thing is wrong with it.
func TestRefusedGuestIsToldWhy(t *testing.T) {
	s := newAttestedSite(t)
	s.attest(s.strict())
	revoked := s.world.Certify(s.world.PCK, s.world.Platform)
	revoked = revoked.Reissue(s.world.Platform, func(c *tdxpki.Template) { c.Serial = []byte{0x11, 0x22} })
	published := s.world.Collateral()
	published.PCKCRL = published.PCKCRL.Revoke(revoked)
	s.pccs.Publish(s.world.PCK.FMSPC, tdxpki.PlatformCA, published.Sign())
	s.run()

	at := func(svn byte) func() *tdxpki.PKI { // a machine whose TCB is at this level
		return func() *tdxpki.PKI {
			w := *s.world
			w.SetPCK(func(p *tdxpki.PCK) { p.Components[0] = svn })
			return &w
		}
	}
	for _, test := range []struct {
		name  string
		world func() *tdxpki.PKI
		guest func(*tdxpki.Guest)
		says  string
	}{
		{"TCB out of date", at(tdxpki.SVNOutOfDate), nil, "refused by policy: TCB status OutOfDate"},
		{"TCB revoked", at(tdxpki.SVNRevoked), nil, "refused by policy: TCB status Revoked"},
		{"advisory", at(tdxpki.SVNSWHardeningNeeded), nil, "refused by policy: open to INTEL-SA-00615"},
		{"forger", func() *tdxpki.PKI { return tdxpki.New(2, s.world.Now) }, nil, "PCK chain"},
		{
			"revoked platform",
			func() *tdxpki.PKI {
				w := *s.world
				w.Leaf = revoked
				return &w
			},
			nil,
			"PCK certificate revocation",
		},
		{"app", nil, func(g *tdxpki.Guest) { g.AppID[0] ^= 1 }, "refused by policy: app is not on the list"},
		{
			"measurement", nil,
			func(g *tdxpki.Guest) { g.ChangeQuote = func(q *tdxpki.Quote) { q.TD.MRTD[0] ^= 1 } },
			"refused by policy: measurements is not on the list",
		},
		{
			"quote for another key", nil,
			func(g *tdxpki.Guest) { g.ChangeQuote = func(q *tdxpki.Quote) { q.TD.ReportData[0] ^= 1 } },
			"report data",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			world, g := s.world, testGuest(vm1)
			if test.world != nil {
				world = test.world()
			}
			if test.guest != nil {
				test.guest(&g)
			}
			err := s.register(s.certificate(world.Guest(g), nil))
			if err == nil || !strings.Contains(err.Error(), test.says) || errors.Is(err, rpc.ErrNoAttestation) {
				t.Errorf("%v, want %q", err, test.says)
			}
		})
	}
	if st := s.status(); st == nil || len(st.Instances) != 0 {
		t.Errorf("somebody is registered: %+v", st)
	}
}

// A certificate is for one key: with another machine's evidence it is nobody's.
func TestEvidenceOfAnotherMachineIsRefused(t *testing.T) {
	s := newAttestedSite(t)
	s.run()
	m := s.world.Guest(testGuest(vm1))
	var key *ecdsa.PrivateKey
	m.Key, key = s.world.Key("thief"), m.Key
	if err := s.register(s.certificate(m, nil)); err == nil || !strings.Contains(err.Error(), ratls.ErrKeyBinding.Error()) {
		t.Errorf("%v", err)
	}
	m.Key = key
	if err := s.register(s.certificate(m, nil)); err != nil {
		t.Errorf("with its own key: %v", err)
	}
}

// While no PCCS answers, nobody new can be judged: guests hear that, and no more.
func TestGuestsAreUndecidedWhileNoPCCSAnswers(t *testing.T) {
	s := newAttestedSite(t)
	s.run()
	old := s.certificate(s.world.Guest(testGuest(vm1)), nil)
	if err := s.register(old); err != nil {
		t.Fatal(err)
	}
	s.pccs.Instead(tdxpki.TCBInfoDocument, tdxpki.Status(http.StatusBadGateway))
	unknown := *s.world
	unknown.SetPCK(func(p *tdxpki.PCK) { p.FMSPC[5] = 0x77 })
	newcomer := s.certificate(unknown.Guest(testGuest(vm2)), nil)

	wantUndecided := func() {
		t.Helper()
		err := s.register(newcomer)
		if err == nil || !strings.Contains(err.Error(), "cannot appraise the attestation at the moment") ||
			strings.Contains(err.Error(), s.server.URL) || errors.Is(err, rpc.ErrNoAttestation) {
			t.Errorf("a new platform: %v", err)
		}
	}
	wantUndecided()
	s.said(1, "level=ERROR", s.server.URL)
	again := s.world.Guest(testGuest("3333333333333333333333333333333333333333"))
	if err := s.register(s.certificate(again, nil)); err != nil {
		t.Errorf("a platform whose collateral is held: %v", err)
	}

	s.stop()
	s.server.Close()
	s.run()
	wantUndecided()
	if err := s.register(old); err != nil {
		t.Errorf("a platform whose collateral is on disk: %v", err)
	}
	if st := s.status(); st == nil || len(st.Instances) != 2 || refused("")(st) {
		t.Errorf("who was registered is: %+v", st)
	}
}

func TestGuestsAreJudgedByACollateralFile(t *testing.T) {
	s := newAttestedSite(t)
	s.write("collateral.json", string(s.world.Collateral().Sign().File()))
	s.attest(`collateral_file = "collateral.json"`)
	s.run()
	if err := s.register(s.certificate(s.world.Guest(testGuest(vm1)), nil)); err != nil {
		t.Error(err)
	}
	if n := s.pccs.Requests(tdxpki.TCBInfoDocument); n != 0 {
		t.Errorf("a PCCS was asked %d times", n)
	}
}
