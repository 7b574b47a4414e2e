package ratls

import (
	"crypto/x509"
	"errors"
	"testing"
	"time"

	"sallyport/internal/gwtest/tdxpki"
	"sallyport/ratls/pccs"
)

// What needs no collateral is applied without any, and refuses as a whole appraisal does.
func TestRecheckAppliesWhatNeedsNoCollateral(t *testing.T) {
	w := newWorld(t)
	verdict := wantAccepted(t, w.verifier(t, nil), w.evidence(t, tdxpki.Guest{}))
	info := verdict.AppInfo
	w.fail(pccs.ErrUnavailable)
	kernel := verdict.TD.RTMR[1]
	kernel[0] ^= 1
	any := Peer{AnySystem: true}
	for name, c := range map[string]struct {
		guest  tdxpki.Guest
		policy Policy
		peer   Peer
		later  time.Duration
		want   string // "": it stays
	}{
		"nothing against it":    {peer: any},
		"all lists have it":     {policy: Policy{Apps: []AppID{info.AppID}, ComposeHashes: []Hash{info.ComposeHash}, KeyProviders: []Bytes{verdict.KeyProvider.ID}, OSImages: []Hash{verdict.OSImage}, MaxAge: 48 * time.Hour}, peer: any},
		"app":                   {policy: Policy{Apps: []AppID{otherApp}}, peer: any, want: "policy: app: "},
		"compose hash":          {policy: Policy{ComposeHashes: []Hash{{1}}}, peer: any, want: "policy: compose hash: "},
		"OS image":              {policy: Policy{OSImages: []Hash{{1}}}, peer: any, want: "policy: OS image: "},
		"key provider":          {policy: Policy{KeyProviders: []Bytes{{1}}}, peer: any, want: "policy: key provider: "},
		"measurement":           {policy: Policy{Measurements: []Measurement{{RTMR1: &kernel}}}, peer: any, want: "policy: measurements: "},
		"age":                   {policy: Policy{MaxAge: 48 * time.Hour}, peer: any, later: 25 * time.Hour, want: "policy: age: "},
		"certificate has ended": {peer: any, later: 11 * 24 * time.Hour, want: "certificate is valid from"},
		"another instance":      {peer: Peer{AnySystem: true, Instance: testInstance}, want: "want " + testInstance.String()},
		"system not known":      {peer: Peer{App: info.AppID}, want: "its system is not known"},
		"another's evidence":    {guest: tdxpki.Guest{ChangeQuote: func(q *tdxpki.Quote) { q.TD.ReportData[0] ^= 1 }}, peer: any, want: "report data"},
		"another's event log":   {guest: tdxpki.Guest{ChangeQuote: func(q *tdxpki.Quote) { q.TD.RTMR[3][0] ^= 1 }}, peer: any, want: "event log: "},
		"status is Intel's":     {policy: Policy{Statuses: nil, Advisories: []string{"INTEL-SA-00615"}}, peer: any},
	} {
		t.Run(name, func(t *testing.T) {
			v := w.verifier(t, &c.policy)
			w.sleep(c.later)
			defer w.sleep(-c.later)
			chain := []*x509.Certificate{w.Guest(c.guest).Certificate.Leaf}
			err := v.RecheckPeer(chain, c.peer)
			if c.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			wantError(t, err, "attested peer: ")
			wantError(t, err, c.want)
			if errors.Is(err, pccs.ErrUnavailable) {
				t.Errorf("undecided: %v", err)
			}
		})
	}
	if n := w.asked.Load(); n != 1 {
		t.Errorf("collateral was asked for %d times", n)
	}
}

func BenchmarkRecheckPeer(b *testing.B) {
	w := newWorld(b)
	v := w.verifier(b, &Policy{MaxAge: 48 * time.Hour})
	chain := []*x509.Certificate{w.Guest(tdxpki.Guest{}).Certificate.Leaf}
	for b.Loop() {
		if err := v.RecheckPeer(chain, Peer{AnySystem: true}); err != nil {
			b.Fatal(err)
		}
	}
}
