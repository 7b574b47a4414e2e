package ratls

import (
	"context"
	"crypto/x509"
	"errors"
	"reflect"
	"testing"
	"time"

	"sallyport/internal/gwtest/tdxpki"
	"sallyport/ratls/attestation"
	"sallyport/ratls/pccs"
	"sallyport/ratls/qvl"
)

// Each form of evidence of the same machine proves the same.
func TestGoodMachineIsVerifiedInEachForm(t *testing.T) {
	w := newWorld(t)
	v := w.verifier(t, nil)
	for name, g := range map[string]tdxpki.Guest{
		"V0":                       {},
		"V1":                       {Form: tdxpki.FormV1},
		"legacy":                   {Form: tdxpki.FormLegacy},
		"V1, events of version 2":  {Form: tdxpki.FormV1, EventV2: true},
		"legacy, events version 2": {Form: tdxpki.FormLegacy, EventV2: true},
		"version 5 quote":          {V5: true},
		"version 5 quote in V1":    {V5: true, Form: tdxpki.FormV1},
		"with a KMS's word":        {WithAppInfo: true},
		"owner set":                {ChangeQuote: func(q *tdxpki.Quote) { q.TD.MROwner[47] = 1 }},
		"no mr_config_id":          {ChangeQuote: func(q *tdxpki.Quote) { q.TD.MRConfigID = [48]byte{} }},
	} {
		t.Run(name, func(t *testing.T) {
			m := w.Guest(g)
			got := wantAccepted(t, v, evidenceOf(t, m.Certificate.Leaf))
			want, err := ParseAppInfo(m.AppInfo.Marshal())
			if err != nil {
				t.Fatal(err)
			}
			want.DeviceID = Hash(w.PCK.DeviceID())
			if g.Form == tdxpki.FormLegacy { // which has no configuration
				want.OSImageHash = Hash{}
			}
			if !reflect.DeepEqual(&got.AppInfo, want) {
				t.Errorf("%+v\nwant %+v", got.AppInfo, want)
			}
			if got.OSImage.IsZero() || got.KeyProvider.Name != "kms" || len(got.KeyProvider.ID) == 0 {
				t.Errorf("OS image %s, key provider %s", got.OSImage, got.KeyProvider)
			}
			if got.TCB.Status != qvl.UpToDate || got.TCB.Steps != nil || got.Expires.IsZero() || !got.Expires.Equal(got.TCB.Expires) {
				t.Errorf("status %s, expires %s, %d steps", got.TCB.Status, got.Expires, len(got.TCB.Steps))
			}
			r := v.Examine(t.Context(), evidenceOf(t, m.Certificate.Leaf))
			if r.Err != nil || !reflect.DeepEqual(r.Verdict, got) {
				t.Errorf("examined: %v, %+v", r.Err, r.Verdict)
			}
		})
	}
}

func TestStepsTellTheWholeWay(t *testing.T) {
	w := newWorld(t)
	r := w.verifier(t, &Policy{MaxAge: 48 * time.Hour}).Examine(t.Context(), w.evidence(t, tdxpki.Guest{}))
	seen := make(map[string]bool)
	for _, s := range r.Steps {
		if s.Err != nil {
			t.Errorf("%s: %v", s.Name, s.Err)
		}
		if seen[s.Name] {
			t.Errorf("two steps are named %q", s.Name)
		}
		seen[s.Name] = true
	}
	for _, name := range []string{
		"attestation", "quote", "report data", "key binding", "PCK certificates", "quote signature", "TCB status",
		"event log", "app", "key provider", "mr_config_id", "policy: TCB status", "policy: age",
	} {
		if !seen[name] {
			t.Errorf("no step is named %q", name)
		}
	}
}

// Whoever examines a file has no certificate, and perhaps no log.
func TestExamineTakesAQuoteAlone(t *testing.T) {
	w := newWorld(t)
	v := w.verifier(t, nil)
	whole := w.evidence(t, tdxpki.Guest{Form: tdxpki.FormLegacy})
	r := v.Examine(t.Context(), Evidence{Quote: whole.Quote})
	if r.Err != nil || r.Verdict.TCB.Status != qvl.UpToDate || !reflect.DeepEqual(r.Verdict.AppInfo, AppInfo{}) {
		t.Errorf("%+v, %v", r.Verdict, r.Err)
	}
	for _, s := range r.Steps {
		if s.Name == "key binding" || s.Name == "event log" || s.Name == "app" {
			t.Errorf("step %q, but there is nothing to it", s.Name)
		}
	}
	w.verifier(t, &Policy{Apps: []AppID{{}}}).mustRefuse(t, Evidence{Quote: whole.Quote}, "policy: app:")
}

// mustRefuse is for evidence that Appraise would not even look at.
func (v *Verifier) mustRefuse(t *testing.T, e Evidence, want string) {
	t.Helper()
	r := v.Examine(t.Context(), e)
	if r.Verdict != nil {
		t.Errorf("accepted, want %q", want)
	}
	wantError(t, r.Err, want)
}

func TestAppraiseNeedsKeyAndLog(t *testing.T) {
	w := newWorld(t)
	v := w.verifier(t, nil)
	whole := w.evidence(t, tdxpki.Guest{Form: tdxpki.FormLegacy})
	for want, change := range map[string]func(*Evidence){
		"evidence without a public key":         func(e *Evidence) { e.PublicKey = nil },
		"event log: is missing":                 func(e *Evidence) { e.EventLog = nil },
		"quote: byte 0: version: needs 2 bytes": func(e *Evidence) { e.Quote = nil },
	} {
		e := whole
		change(&e)
		verdict, err := v.Appraise(t.Context(), e)
		if verdict != nil {
			t.Errorf("accepted, want %q", want)
		}
		wantError(t, err, want)
	}
}

// Evidence for another purpose is accepted only by who asks for that purpose.
func TestTagIsTheAskersWord(t *testing.T) {
	w := newWorld(t)
	v := w.verifier(t, nil)
	key := []byte("https://acme.example/account/1")
	e := w.evidence(t, tdxpki.Guest{ChangeQuote: func(q *tdxpki.Quote) {
		q.TD.ReportData = tdxpki.ReportData("acme-account", key)
	}})
	e.PublicKey = key
	if _, err := v.Appraise(t.Context(), e); !errors.Is(err, ErrKeyBinding) {
		t.Errorf("without a tag: %v, want %v", err, ErrKeyBinding)
	}
	e.Tag = attestation.TagACMEAccount
	wantAccepted(t, v, e)
	e.Tag = attestation.TagZTCert
	if _, err := v.Appraise(t.Context(), e); !errors.Is(err, ErrKeyBinding) {
		t.Errorf("of another tag: %v, want %v", err, ErrKeyBinding)
	}
}

// Documents that are issued while they are fetched are not of the future.
func TestTimeIsThatAfterTheFetch(t *testing.T) {
	w := newWorld(t)
	w.publish(t, func(c *tdxpki.Collateral) { c.TCBInfo.IssueDate = worldTime().Add(10 * time.Second) })
	v, err := NewVerifier(VerifierOptions{Collateral: slowSource{w}, Root: w.Root.Cert(), Now: w.now})
	if err != nil {
		t.Fatal(err)
	}
	wantAccepted(t, v, w.evidence(t, tdxpki.Guest{}))
}

// A slowSource takes twenty seconds.
type slowSource struct{ *world }

func (s slowSource) Prepared(ctx context.Context, p pccs.Platform) (*qvl.Prepared, error) {
	s.sleep(20 * time.Second)
	return s.world.Prepared(ctx, p)
}

// The policy that counts is the one at the end.
func TestPolicyMayChangeDuringTheFetch(t *testing.T) {
	w := newWorld(t)
	var v *Verifier
	v, err := NewVerifier(VerifierOptions{
		Collateral: sourceFunc(func() { v.SetPolicy(&Policy{Apps: []AppID{}}) }, w), Root: w.Root.Cert(), Now: w.now,
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = v.Appraise(t.Context(), w.evidence(t, tdxpki.Guest{}))
	if !errors.Is(err, ErrPolicy) {
		t.Errorf("%v, want %v", err, ErrPolicy)
	}
}

type hookedSource struct {
	hook func()
	CollateralSource
}

func sourceFunc(hook func(), s CollateralSource) CollateralSource { return hookedSource{hook, s} }

func (s hookedSource) Prepared(ctx context.Context, p pccs.Platform) (*qvl.Prepared, error) {
	s.hook()
	return s.CollateralSource.Prepared(ctx, p)
}

func TestVerifierNeedsASource(t *testing.T) {
	v, err := NewVerifier(VerifierOptions{})
	if v != nil {
		t.Error("made without a source")
	}
	wantError(t, err, "Collateral is nil")
}

// Without options the root is Intel's: a synthetic machine is a forgery.
func TestDefaultRootIsIntels(t *testing.T) {
	w := newWorld(t)
	v, err := NewVerifier(VerifierOptions{Collateral: w})
	if err != nil {
		t.Fatal(err)
	}
	if !v.root.Equal(qvl.IntelRoot()) {
		t.Errorf("root %s", v.root.Subject)
	}
	wantRefused(t, v, w.evidence(t, tdxpki.Guest{}), "PCK chain: its root is not the trusted root")
}

func TestCertificateWithoutEvidenceHasNone(t *testing.T) {
	w := newWorld(t)
	if _, err := EvidenceOf(w.Guest(tdxpki.Guest{Form: tdxpki.FormNone}).Certificate.Leaf); !errors.Is(err, ErrNoAttestation) {
		t.Errorf("%v, want %v", err, ErrNoAttestation)
	}
	_, err := EvidenceOf(&x509.Certificate{Extensions: extensions(arcQuote, nil)})
	wantError(t, err, "certificate: quote: empty")
}
