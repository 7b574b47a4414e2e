package ratls

import (
	"errors"
	"testing"
	"time"

	"sallyport/internal/gwtest/tdxpki"
	"sallyport/ratls/qvl"
)

// A platform in each state, and what a policy that names no states makes of it.
var platformStates = []struct {
	svn       byte
	status    qvl.Status
	byDefault bool
}{
	{tdxpki.SVNUpToDate, qvl.UpToDate, true},
	{tdxpki.SVNSWHardeningNeeded, qvl.SWHardeningNeeded, true},
	{tdxpki.SVNConfigurationNeeded, qvl.ConfigurationNeeded, true},
	{tdxpki.SVNConfigurationAndSWHardeningNeeded, qvl.ConfigurationAndSWHardeningNeeded, true},
	{tdxpki.SVNOutOfDate, qvl.OutOfDate, false},
	{tdxpki.SVNOutOfDateConfigurationNeeded, qvl.OutOfDateConfigurationNeeded, false},
	{tdxpki.SVNRevoked, qvl.Revoked, false},
}

func TestStatusDecides(t *testing.T) {
	for _, c := range platformStates {
		t.Run(c.status.String(), func(t *testing.T) {
			w := newWorld(t)
			w.SetPCK(func(p *tdxpki.PCK) { p.Components[0] = c.svn })
			e := w.evidence(t, tdxpki.Guest{})
			want := "policy: TCB status: refused by policy: TCB status " + c.status.String()

			v := w.verifier(t, nil)
			if c.byDefault {
				if got := wantAccepted(t, v, e).TCB.Status; got != c.status {
					t.Errorf("status %s", got)
				}
			} else {
				wantPolicy(t, refusal(t, v, e, want), true)
			}
			v.SetPolicy(&Policy{Statuses: []qvl.Status{c.status}})
			if c.status == qvl.Revoked { // even if listed
				wantRefused(t, v, e, want)
			} else {
				wantAccepted(t, v, e)
			}
			v.SetPolicy(&Policy{Statuses: []qvl.Status{}})
			wantRefused(t, v, e, want)
			v.SetPolicy(&Policy{Statuses: []qvl.Status{c.status%6 + 1}})
			wantRefused(t, v, e, want)
		})
	}
}

// A module that is up to date does not make up for a platform that is revoked: the
// case that go-tdx-guest accepts.
func TestRevokedPlatformBelowAnUpToDateModuleIsRefused(t *testing.T) {
	w := newWorld(t)
	w.SetPCK(func(p *tdxpki.PCK) { p.Components[0] = tdxpki.SVNRevoked })
	v := w.verifier(t, &Policy{Statuses: []qvl.Status{qvl.UpToDate, qvl.OutOfDate, qvl.Revoked}})
	g := tdxpki.Guest{V5: true}
	wantPolicy(t, refusal(t, v, w.evidence(t, g), "TCB status Revoked"), true)
	for _, s := range v.Examine(t.Context(), w.evidence(t, g)).Steps {
		if s.Name == "TDX module" && s.Value == "TDX 1.0" {
			t.Error("the module has no identity of its own, so nothing was tested")
		}
	}
}

func TestStatusThatWasNotJudgedIsRefused(t *testing.T) {
	for _, p := range []*Policy{{}, {Statuses: []qvl.Status{0, -1}}} {
		for _, s := range []qvl.Status{0, -1, qvl.Revoked + 1} {
			if p.status(s).refused == nil {
				t.Errorf("status %d is accepted by %v", s, p.Statuses)
			}
		}
	}
}

// A policyCase is one rule, held against the good machine's verdict.
type policyCase struct {
	name string
	p    Policy
	want string // of the refusal; empty: accepted
}

func listCases(v *Verdict) []policyCase {
	var other [48]byte
	app, compose, image := v.AppInfo.AppID, v.AppInfo.ComposeHash, v.OSImage
	id := v.KeyProvider.ID
	return []policyCase{
		{"any", Policy{}, ""},
		{"app", Policy{Apps: []AppID{otherApp, app}}, ""},
		{"another app", Policy{Apps: []AppID{otherApp}}, "policy: app: refused by policy: app is not on the list: " + app.String()},
		{"no app", Policy{Apps: []AppID{}}, "policy: app:"},
		{"compose hash", Policy{ComposeHashes: []Hash{{1}, compose}}, ""},
		{"another compose hash", Policy{ComposeHashes: []Hash{{1}}}, "policy: compose hash: refused by policy: compose hash is not on the list: " + compose.String()},
		{"no compose hash", Policy{ComposeHashes: []Hash{}}, "policy: compose hash:"},
		{"OS image", Policy{OSImages: []Hash{{1}, image}}, ""},
		{"another OS image", Policy{OSImages: []Hash{{1}}}, "policy: OS image: refused by policy: OS image is not on the list: " + image.String()},
		{"no OS image", Policy{OSImages: []Hash{}}, "policy: OS image:"},
		{"key provider", Policy{KeyProviders: []Bytes{{1}, id}}, ""},
		{"another key provider", Policy{KeyProviders: []Bytes{{1}}}, "policy: key provider: refused by policy: key provider is not on the list: kms " + id.String()},
		{"part of a key provider", Policy{KeyProviders: []Bytes{id[:len(id)-1]}}, "policy: key provider:"},
		{"no key provider", Policy{KeyProviders: []Bytes{}}, "policy: key provider:"},
		{"advisory", Policy{Advisories: []string{"INTEL-SA-00001"}}, ""},
		{"no advisory", Policy{Advisories: []string{}}, ""},
		{"whole measurement", Policy{Measurements: []Measurement{{&other, nil, nil, nil}, {&v.TD.MRTD, &v.TD.RTMR[0], &v.TD.RTMR[1], &v.TD.RTMR[2]}}}, ""},
		{"MRTD alone", Policy{Measurements: []Measurement{{MRTD: &v.TD.MRTD}}}, ""},
		{"measurement of anything", Policy{Measurements: []Measurement{{}}}, ""},
		{"another MRTD", Policy{Measurements: []Measurement{{&other, &v.TD.RTMR[0], &v.TD.RTMR[1], &v.TD.RTMR[2]}}}, "policy: measurements: refused by policy: measurements is not on the list: MRTD "},
		{"another RTMR0", Policy{Measurements: []Measurement{{RTMR0: &other}}}, "policy: measurements:"},
		{"another RTMR1", Policy{Measurements: []Measurement{{RTMR1: &other}}}, "policy: measurements:"},
		{"another RTMR2", Policy{Measurements: []Measurement{{RTMR2: &other}}}, "policy: measurements:"},
		{"no measurement", Policy{Measurements: []Measurement{}}, "policy: measurements:"},
		{"half of each of two", Policy{Measurements: []Measurement{{&v.TD.MRTD, &other, nil, nil}, {&other, &v.TD.RTMR[0], nil, nil}}}, "policy: measurements:"},
		{"two rules, one broken", Policy{Apps: []AppID{app}, ComposeHashes: []Hash{}}, "policy: compose hash:"},
	}
}

func TestListsDecide(t *testing.T) {
	w := newWorld(t)
	v := w.verifier(t, nil)
	e := w.evidence(t, tdxpki.Guest{})
	for _, c := range listCases(wantAccepted(t, v, e)) {
		t.Run(c.name, func(t *testing.T) {
			v.SetPolicy(&c.p)
			if c.want == "" {
				wantAccepted(t, v, e)
				return
			}
			wantPolicy(t, refusal(t, v, e, c.want), true)
		})
	}
}

// What a machine does not have is on no list, even on one with a zero in it.
func TestNothingIsOnNoList(t *testing.T) {
	w := newWorld(t)
	bare := w.evidence(t, tdxpki.Guest{KeyProvider: `{"name":"none","id":""}`, ChangeQuote: func(q *tdxpki.Quote) { q.TD.MRConfigID = [48]byte{} }, ChangeLog: func(l tdxpki.Log) tdxpki.Log {
		l[at(l, "compose-hash")] = event("compose-hash", "")
		l[at(l, "os-image-hash")] = event("os-image-hash", "")
		return l
	}})
	wantAccepted(t, w.verifier(t, nil), bare)
	for want, p := range map[string]Policy{
		"policy: compose hash:": {ComposeHashes: []Hash{{}}},
		"policy: OS image:":     {OSImages: []Hash{{}}},
		"policy: key provider:": {KeyProviders: []Bytes{{}, nil}},
	} {
		wantPolicy(t, refusal(t, w.verifier(t, &p), bare, want), true)
	}
}

// The image that the configuration names was not measured.
func TestConfiguredOSImageIsOnNoList(t *testing.T) {
	w := newWorld(t)
	e := w.evidence(t, tdxpki.Guest{
		ChangeLog:         func(l tdxpki.Log) tdxpki.Log { l[at(l, "os-image-hash")] = event("os-image-hash", ""); return l },
		ChangeAttestation: func(a *tdxpki.Attestation) { a.Config = `{"os_image_hash":"` + imageHex + `"}` },
	})
	if got := wantAccepted(t, w.verifier(t, nil), e).AppInfo.OSImageHash; got != imageHash(t) {
		t.Errorf("image %s", got)
	}
	wantRefused(t, w.verifier(t, &Policy{OSImages: []Hash{imageHash(t)}}), e, "policy: OS image:")
}

func TestOpenAdvisoryIsRefused(t *testing.T) {
	w := newWorld(t)
	w.publish(t, func(c *tdxpki.Collateral) {
		c.TCBInfo.TCBLevels[0].AdvisoryIDs = []string{"INTEL-SA-00615", "INTEL-SA-00837"}
	})
	e := w.evidence(t, tdxpki.Guest{})
	wantAccepted(t, w.verifier(t, &Policy{Advisories: []string{"INTEL-SA-00001"}}), e)
	err := refusal(t, w.verifier(t, &Policy{Advisories: []string{"INTEL-SA-00001", "INTEL-SA-00837"}}), e, "policy: advisories: refused by policy: open to INTEL-SA-00837")
	wantPolicy(t, err, true)
}

// The kit's certificates are a day old.
func TestAgeIsBounded(t *testing.T) {
	const day = 24 * time.Hour
	w := newWorld(t)
	for _, c := range []struct {
		maxAge, issued time.Duration // issued after now
		want           string
	}{
		{day, -day, ""},
		{day, -day - time.Second, "policy: age: refused by policy: evidence is older than 24h0m0s"},
		{day, 0, ""},
		{day, maxSkew, ""},
		{day, maxSkew + time.Second, "policy: age: refused by policy: certificate is of the future"},
		{0, -1000 * day, ""},
		{0, 1000 * day, ""},
		{-day, 0, "policy: age:"},
	} {
		e := w.evidence(t, tdxpki.Guest{})
		e.Issued = worldTime().Add(c.issued)
		v := w.verifier(t, &Policy{MaxAge: c.maxAge})
		if c.want == "" {
			wantAccepted(t, v, e)
			continue
		}
		wantPolicy(t, refusal(t, v, e, c.want), true)
	}
	e := w.evidence(t, tdxpki.Guest{})
	e.Issued = time.Time{}
	wantPolicy(t, refusal(t, w.verifier(t, &Policy{MaxAge: day}), e, "without a certificate has no age"), true)
}

// Examine tells every rule that is broken, Appraise the first.
func TestEveryBrokenRuleHasItsStep(t *testing.T) {
	w := newWorld(t)
	v := w.verifier(t, &Policy{Apps: []AppID{}, ComposeHashes: []Hash{}, MaxAge: time.Hour})
	broken := 0
	for _, s := range v.Examine(t.Context(), w.evidence(t, tdxpki.Guest{})).Steps {
		if s.Err != nil {
			if !errors.Is(s.Err, ErrPolicy) {
				t.Errorf("%s: %v", s.Name, s.Err)
			}
			broken++
		}
	}
	if broken != 3 {
		t.Errorf("%d steps are broken, want 3", broken)
	}
}
