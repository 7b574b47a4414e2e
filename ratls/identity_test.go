package ratls

import (
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"reflect"
	"testing"

	"sallyport/ratls/internal/msgpack"
)

// guest asks for the certificate of a machine.
func guest() Request {
	return Request{AppID: testApp, AppInfo: testInfo(), Subject: "dstack-guest-agent", Client: true}
}

// quoted is guest's with evidence, in the form that has the arcs.
func quoted(r Request, arcs ...int) Request {
	for _, arc := range arcs {
		r.ExtraExtensions = append(r.ExtraExtensions, extension(arc, []byte{'e', byte(arc)}))
	}
	return r
}

func without(r Request) Request {
	r.AppInfo = nil
	return r
}

func TestMachineIsKnownByItsAppInfo(t *testing.T) {
	a := newAuthority(t)
	got, err := Identify(t.Context(), verified(t, a, issue(t, a, guest())), Options{})
	want := Identity{AppInfo: *testInfo(), Usage: UsageApp}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v, want %+v", got, err, want)
	}
}

// A gateway may trust one app's authority instead of the root.
func TestChainMayEndAtTheAppCA(t *testing.T) {
	a := newAuthority(t)
	chain := verified(t, a, issue(t, a, guest()))
	if _, err := Identify(t.Context(), chain[:2], Options{}); err != nil {
		t.Error(err)
	}
}

func TestCertificateThatDisagreesIsRefused(t *testing.T) {
	a := newAuthority(t)
	leaf := func(change func(*Request)) []*x509.Certificate {
		r := guest()
		change(&r)
		return verified(t, a, issue(t, a, r))
	}
	info := func(change func(*AppInfo)) []*x509.Certificate {
		return leaf(func(r *Request) { change(r.AppInfo) })
	}
	extra := func(x ...pkix.Extension) []*x509.Certificate {
		return leaf(func(r *Request) { r.ExtraExtensions = x })
	}
	good := leaf(func(*Request) {})
	for _, c := range []struct {
		why   string
		chain []*x509.Certificate
		want  string
	}{
		{"no chain", nil, "chain of 0 certificates, want leaf, app CA and root"},
		{"leaf alone", good[:1], "chain of 1 certificates, want leaf, app CA and root"},
		{"issued by the root", []*x509.Certificate{good[0], good[2]}, "issuing CA: no app id"},
		{"the app CA itself", good[1:], "belongs to a CA, want a leaf"},
		{"issued by a leaf", []*x509.Certificate{good[0], good[0], good[1]}, `issuing CA: usage "app:custom", want "app:ca"`},
		{"issued by a malformed CA", []*x509.Certificate{good[0], {Extensions: extensions(arcAppID, nil)}}, "issuing CA: app id: empty"},
		{"leaf of another app", extra(extension(arcAppID, otherApp[:])), "app id " + otherApp.String() + ", but its issuing CA is of app " + testApp.String()},
		{"app info of another app", info(func(i *AppInfo) { i.AppID = otherApp }), "app id " + testApp.String() + ", but its app info is of app " + otherApp.String()},
		{"no instance id", info(func(i *AppInfo) { i.InstanceID = InstanceID{} }), "app info: no instance id"},
		{"empty app id", extra(extension(arcAppID, nil)), "app id: empty"},
		{"zero app id", extra(extension(arcAppID, make([]byte, 20))), "app id: all zero"},
		{"no app id", extra(pkix.Extension{Id: oid(arcAppID), Value: nil}), "app id: value is not a single DER OCTET STRING"},
		{"usage of a KMS", extra(extension(arcUsage, []byte(UsageKMSRPC))), `usage "kms:rpc", want "app:custom"`},
		{"usage of a CA", extra(extension(arcUsage, []byte(UsageAppCA))), `usage "app:ca", want "app:custom"`},
		{"malformed app info", extra(extension(arcAppInfo, []byte{msgpack.FixArray | 9})), "app info: ends too early"},
		{"app info is nil", extra(extension(arcAppInfo, []byte{msgpack.Nil})), "neither app info nor attestation provided"},
		{"neither app info nor evidence", leaf(func(r *Request) { r.AppInfo = nil }), "neither app info nor attestation provided"},
		{"event log without a quote", leaf(func(r *Request) { *r = quoted(without(*r), arcEventLog) }), "neither app info nor attestation provided"},
	} {
		t.Run(c.why, func(t *testing.T) {
			got, err := Identify(t.Context(), c.chain, Options{})
			if !reflect.DeepEqual(got, Identity{}) {
				t.Errorf("identified as %+v", got)
			}
			wantError(t, err, "certificate: "+c.want)
		})
	}
}

// A certificate of another authority's making, with nothing of RA-TLS in it.
func TestCertificateWithoutExtensionsIsRefused(t *testing.T) {
	a := newAuthority(t)
	chain := verified(t, a, issue(t, a, guest()))
	plain := []*x509.Certificate{{}, chain[1]}
	_, err := Identify(t.Context(), plain, Options{})
	wantError(t, err, "certificate: no app id")

	bare := []*x509.Certificate{{Extensions: extensions(arcAppID, testApp[:])}, chain[1]}
	_, err = Identify(t.Context(), bare, Options{})
	wantError(t, err, `certificate: usage "", want "app:custom"`)
}

// What becomes of each kind of certificate, by what the gateway wants and can.
func TestEvidenceCountsAsConfigured(t *testing.T) {
	proves := func() *fakeAppraiser { return &fakeAppraiser{verdict: Verdict{AppInfo: *testInfo()}} }
	const (
		needsVerifier = "attestation is required, but no verifier is configured to appraise it"
		needsEither   = "no app info, and no verifier is configured to appraise the attestation"
	)
	a := newAuthority(t)
	for _, c := range []struct {
		why      string
		request  Request
		require  bool
		verifier *fakeAppraiser
		want     string // error, or ""
		judged   bool
	}{
		{"app info", guest(), false, nil, "", false},
		{"app info, verifier", guest(), false, proves(), "", false},
		{"app info, required", guest(), true, proves(), "no attestation provided", false},
		{"app info, required, none to judge", guest(), true, nil, "no attestation provided", false},
		{"neither, required", without(guest()), true, proves(), "no attestation provided", false},
		{"event log alone, required", quoted(guest(), arcEventLog), true, proves(), "no attestation provided", false},

		{"both", quoted(guest(), arcAttestation), false, nil, "", false},
		{"both, verifier", quoted(guest(), arcAttestation), false, proves(), "", true},
		{"both, required", quoted(guest(), arcAttestation), true, proves(), "", true},
		{"both, legacy", quoted(guest(), arcQuote, arcEventLog), true, proves(), "", true},
		{"both, required, none to judge", quoted(guest(), arcAttestation), true, nil, needsVerifier, false},

		{"evidence", quoted(without(guest()), arcAttestation), false, nil, needsEither, false},
		{"evidence, legacy", quoted(without(guest()), arcQuote, arcEventLog), false, nil, needsEither, false},
		{"evidence, verifier", quoted(without(guest()), arcAttestation), false, proves(), "", true},
		{"evidence, required", quoted(without(guest()), arcAttestation), true, proves(), "", true},
		{"evidence, required, none to judge", quoted(without(guest()), arcAttestation), true, nil, needsVerifier, false},
	} {
		t.Run(c.why, func(t *testing.T) {
			opts := Options{RequireQuote: c.require}
			if c.verifier != nil {
				opts.Appraiser = c.verifier
			}
			got, err := Identify(t.Context(), verified(t, a, issue(t, a, c.request)), opts)
			if c.want != "" {
				wantError(t, err, c.want)
				return
			}
			if err != nil || !reflect.DeepEqual(got.AppInfo, *testInfo()) {
				t.Fatalf("%+v, %v, want the app info", got, err)
			}
			if hasQuote := len(c.request.ExtraExtensions) > 0; got.HasQuote != hasQuote || (got.Verdict != nil) != c.judged {
				t.Errorf("has a quote: %v, verdict %v; want %v, judged: %v", got.HasQuote, got.Verdict, hasQuote, c.judged)
			}
		})
	}
}

func TestEvidenceThatFailsOrDisagreesIsRefused(t *testing.T) {
	otherwise := func(change func(*AppInfo)) *fakeAppraiser {
		info := testInfo()
		change(info)
		return &fakeAppraiser{verdict: Verdict{AppInfo: *info}}
	}
	otherwiseApp := otherwise(func(i *AppInfo) { i.AppID = otherApp })
	noInstance := otherwise(func(i *AppInfo) { i.InstanceID = InstanceID{} })
	a := newAuthority(t)
	for _, c := range []struct {
		why      string
		request  Request
		verifier *fakeAppraiser
		want     string
	}{
		{"refused", guest(), &fakeAppraiser{err: errors.New("TCB is revoked")}, "attestation: TCB is revoked"},
		{"other app", guest(), otherwiseApp, "app info says app " + testApp.String() + ", its attestation proves app " + otherApp.String()},
		{"other instance", guest(), noInstance, "app info says instance " + testInstance.String() + ", its attestation proves instance "},
		{"other compose file", guest(), otherwise(func(i *AppInfo) { i.ComposeHash = Hash{9} }), "app info says compose hash 01"},
		{"other app, no app info", without(guest()), otherwiseApp, "attestation: app id " + testApp.String() + ", but its app info is of app " + otherApp.String()},
		{"no instance, no app info", without(guest()), noInstance, "attestation: app info: no instance id"},
	} {
		t.Run(c.why, func(t *testing.T) {
			chain := verified(t, a, issue(t, a, quoted(c.request, arcAttestation)))
			got, err := Identify(t.Context(), chain, Options{Appraiser: c.verifier})
			if !reflect.DeepEqual(got, Identity{}) {
				t.Errorf("identified as %+v", got)
			}
			wantError(t, err, "certificate: "+c.want)
		})
	}
}

func TestAttestationWinsOverTheLegacyForm(t *testing.T) {
	a := newAuthority(t)
	chain := verified(t, a, issue(t, a, quoted(guest(), arcQuote, arcEventLog, arcAttestation)))
	v := &fakeAppraiser{verdict: Verdict{AppInfo: *testInfo()}}
	if _, err := Identify(t.Context(), chain, Options{Appraiser: v}); err != nil {
		t.Fatal(err)
	}
	want := []Evidence{{Attestation: []byte{'e', arcAttestation}, PublicKey: chain[0].RawSubjectPublicKeyInfo, Issued: chain[0].NotBefore}}
	if !reflect.DeepEqual(v.asked, want) {
		t.Errorf("judged %+v, want %+v", v.asked, want)
	}
}

func TestEvidenceIsNotJudgedForACertificateThatDisagrees(t *testing.T) {
	a := newAuthority(t)
	r := quoted(guest(), arcAttestation)
	r.AppInfo.AppID = otherApp
	v := &fakeAppraiser{}
	_, err := Identify(t.Context(), verified(t, a, issue(t, a, r)), Options{Appraiser: v})
	wantError(t, err, "but its app info is of app")
	if len(v.asked) != 0 {
		t.Errorf("judged %d times, want never: it costs a thousand times the rest", len(v.asked))
	}
}

// What a TLS server gets of a guest, over a real handshake, with several app
// CAs of one name in the chain.
func TestMachineIsKnownOverTLS(t *testing.T) {
	a := newAuthority(t)
	server := issue(t, a, Request{AppID: otherApp, Subject: "dstack-gateway", Names: []string{"gw.example.com"}, Server: true})
	client := issue(t, a, guest())
	client.Certificate = append([][]byte{client.Certificate[0], server.Certificate[1]}, client.Certificate[1:]...)

	state := handshake(t, a, server, client)
	if len(state.VerifiedChains) == 0 {
		t.Fatal("no verified chain")
	}
	id, err := Identify(context.Background(), state.VerifiedChains[0], Options{})
	if err != nil || id.AppID != testApp || id.InstanceID != testInstance {
		t.Errorf("%+v, %v, want app %s", id, err, testApp)
	}
}

func TestCertificateIsCheckedForItsApp(t *testing.T) {
	a := newAuthority(t)
	app, other := AppID{1}, AppID{2}
	leaf := issue(t, a, Request{AppID: app}).Leaf
	for want, ok := range map[AppID]bool{{}: true, app: true, other: false} {
		if err := CheckApp(leaf, want); (err == nil) != ok {
			t.Errorf("want %s: %v", want, err)
		}
	}
	if err := CheckApp(a.Root(), AppID{}); err == nil {
		t.Error("the root has no app id, and is taken")
	}
}
