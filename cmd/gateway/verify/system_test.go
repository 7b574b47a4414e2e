package verify

import (
	"bytes"
	"crypto/tls"
	"errors"
	"slices"
	"strings"
	"testing"

	"sallyport/internal/gwtest/tdxpki"
	"sallyport/ratls"
)

// Every step holds for another system that measures the ids of an app, and it is told apart
// from the app's own by nothing but its measurements or who issued its certificate.
func TestSystemOfUnknownMeasurementsProvesNoApp(t *testing.T) {
	v := newVerification(t)
	victim := v.world.Guest(tdxpki.Guest{}).AppInfo
	app, instance := ratls.AppID(victim.AppID).String(), ratls.InstanceID(victim.InstanceID).String()
	bad := v.write("bad.der", v.world.Guest(tdxpki.InAnotherSystem(tdxpki.Guest{})).Certificate.Certificate[0])

	out, err := v.command(v.unknown(bad, "--app", app, "--instance", instance)...)
	if !errors.Is(err, errUnproven) || strings.Contains(out, "VERIFIED") || strings.Contains(out, "✗") {
		t.Errorf("%v\n%s", err, out)
	}
	v.wantWords(out, []string{
		"✓ app is the one asked for ", "✓ instance is the one asked for ", "– system                         any is accepted",
		"\nUNPROVEN: the hardware is genuine (UpToDate, ", "(--root)", "(--policy)",
	})
	v.wantRefused([]string{bad, "--app", app}, "✗ system is the one asked for    by measurement: has other measurements than those of --measurement\n")

	r := v.json(bad)
	if r.Verified || r.Unproven || len(r.KnownBy) > 0 {
		t.Errorf("%+v", r)
	}
}

// A policy that lists a part of a system, or what any system can say of itself, tells as
// little as none.
func TestPolicyThatNamesNoSystemProvesNoApp(t *testing.T) {
	v := newVerification(t)
	g := tdxpki.Guest{}
	m, system := v.world.Guest(g), v.world.System(g).TOML()
	good := v.write("good.der", m.Certificate.Certificate[0])
	v.policy(`collateral_file = "collateral.json"`, `allow_file = "allow.toml"`)
	for name, c := range map[string]struct {
		allow  string
		proven bool
	}{
		"apps":             {"apps = [\"" + ratls.AppID(m.AppInfo.AppID).String() + "\"]\n", false},
		"firmware":         {strings.Join(strings.SplitAfterN(system, "\n", 3)[:2], ""), false},
		"the whole system": {system, true},
	} {
		t.Run(name, func(t *testing.T) {
			v.write("allow.toml", []byte(c.allow))
			out, err := v.command(v.unknown(good)...)
			if (err == nil) != c.proven || !c.proven && !errors.Is(err, errUnproven) || strings.Contains(out, "system known by policy") != c.proven {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

// A certificate below the KMS's root needs no measurement; its chain comes from the file, or
// from the host.
func TestRootOfTheKMSTellsTheSystem(t *testing.T) {
	v := newVerification(t)
	kms, stranger := newKMS(t), newKMS(t)
	rootFile := func(name string, a *ratls.Authority) string {
		root, _, err := a.EncodePEM()
		if err != nil {
			t.Fatal(err)
		}
		return v.write(name, root)
	}
	ours, theirs := rootFile("kms.pem", kms), rootFile("other.pem", stranger)
	m := v.world.Guest(tdxpki.Guest{})
	issue := func(app ratls.AppID) (tls.Certificate, []byte) {
		cert, err := kms.Issue(ratls.Request{AppID: app, Client: true, Key: m.Key, ExtraExtensions: m.Evidence()})
		if err != nil {
			t.Fatal(err)
		}
		chain, _, err := ratls.EncodePEM(cert)
		if err != nil {
			t.Fatal(err)
		}
		return cert, chain
	}
	cert, chain := issue(ratls.AppID(m.AppInfo.AppID))
	file := v.write("chain.pem", chain)
	at := tlsHost(t, cert, nil)
	for _, what := range []string{file, at} {
		out, err := v.command(v.unknown(what, "--root", ours)...)
		if err != nil || !strings.Contains(out, ", system known by root\n") {
			t.Errorf("%s: %v\n%s", what, err, out)
		}
		v.wantWords(out, []string{"✓ issuer is the one asked for    " + ours + "\n"})
		v.wantRefused([]string{what, "--root", theirs}, "✗ issuer is the one asked for ", "unknown authority")
	}
	v.wantRefused([]string{v.write("leaf.der", cert.Certificate[0]), "--root", ours}, "✗ issuer is the one asked for ")
	v.wantRefused([]string{v.write("self.der", m.Certificate.Certificate[0]), "--root", ours}, "✗ issuer is the one asked for ")
	v.wantRefused([]string{v.write("quote", m.Quote), "--root", ours}, "there is no certificate that a KMS could have issued")
	p := newPublisher(t)
	p.wantRefused([]string{p.serve(p.key("zt-cert", true)), "--root", ours}, "its certificate is from a public CA")
	if r := v.json(file, "--root", ours); !slices.Equal(r.KnownBy, []string{"measurement", "root"}) {
		t.Errorf("known by %v", r.KnownBy)
	}
	torn := bytes.Replace(chain, []byte("-----END CERTIFICATE-----\n-----BEGIN"), []byte("-----END CERTIFICATE-----\n-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n-----BEGIN"), 1)
	v.wantError([]string{v.write("torn.pem", torn)}, "certificate 2 of the chain: ")
}

func newKMS(t *testing.T) *ratls.Authority {
	t.Helper()
	a, err := ratls.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	return a
}
