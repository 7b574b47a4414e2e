package ratls

import (
	"crypto/x509"
	"errors"
	"testing"

	"sallyport/internal/gwtest/tdxpki"
)

// Another system on genuine hardware measures the ids of a victim. What it shows is
// believed only by those who say that they take any system.
func TestSystemMustBeKnown(t *testing.T) {
	w := newWorld(t)
	td := wantAccepted(t, w.verifier(t, nil), w.evidence(t, tdxpki.Guest{})).TD
	info := wantAccepted(t, w.verifier(t, nil), w.evidence(t, tdxpki.Guest{})).AppInfo
	whole := Measurement{MRTD: &td.MRTD, RTMR0: &td.RTMR[0], RTMR1: &td.RTMR[1], RTMR2: &td.RTMR[2]}
	anyHardware, firmware := whole, Measurement{MRTD: &td.MRTD}
	anyHardware.RTMR0 = nil
	system := func(change func(*tdxpki.Quote)) tdxpki.Guest { return tdxpki.Guest{ChangeQuote: change} }
	victim := Peer{App: info.AppID, Instance: info.InstanceID}
	const unknown, unlisted = "attested peer: its system is not known", "measurements: refused by policy"
	for name, c := range map[string]struct {
		guest  tdxpki.Guest
		listed []Measurement
		peer   Peer
		want   string // "": accepted
	}{
		"nothing says what runs":         {peer: victim, want: unknown},
		"any system, explicitly":         {peer: Peer{App: info.AppID, AnySystem: true}},
		"listed whole":                   {listed: []Measurement{whole}, peer: victim},
		"listed for any number of CPUs":  {listed: []Measurement{anyHardware}, peer: victim},
		"its firmware alone is listed":   {listed: []Measurement{firmware}, peer: victim, want: unknown},
		"one measurement of two names":   {listed: []Measurement{firmware, whole}, peer: victim},
		"another firmware":               {guest: system(func(q *tdxpki.Quote) { q.TD.MRTD[0] ^= 1 }), listed: []Measurement{whole}, peer: victim, want: unlisted},
		"another kernel":                 {guest: system(func(q *tdxpki.Quote) { q.TD.RTMR[1][0] ^= 1 }), listed: []Measurement{whole}, peer: victim, want: unlisted},
		"another root file system":       {guest: system(func(q *tdxpki.Quote) { q.TD.RTMR[2][0] ^= 1 }), listed: []Measurement{anyHardware}, peer: victim, want: unlisted},
		"another kernel, same firmware":  {guest: system(func(q *tdxpki.Quote) { q.TD.RTMR[1][0] ^= 1 }), listed: []Measurement{firmware}, peer: victim, want: unknown},
		"another kernel beside firmware": {guest: system(func(q *tdxpki.Quote) { q.TD.RTMR[1][0] ^= 1 }), listed: []Measurement{firmware, whole}, peer: victim, want: unknown},
	} {
		t.Run(name, func(t *testing.T) {
			v := w.verifier(t, &Policy{Measurements: c.listed})
			verdict, err := v.AppraisePeer(t.Context(), []*x509.Certificate{w.Guest(c.guest).Certificate.Leaf}, c.peer)
			if c.want == "" {
				if err != nil || verdict.SystemKnown == c.peer.AnySystem {
					t.Errorf("%+v, %v", verdict, err)
				}
				return
			}
			wantError(t, err, c.want)
			if errors.Is(err, ErrUnknownSystem) != (c.want == unknown) || verdict != nil {
				t.Errorf("%v of kind %v beside %+v", err, errors.Is(err, ErrUnknownSystem), verdict)
			}
		})
	}
}

// The root of a KMS tells what runs through the authority that it has made for the app. Its
// authority for another app has judged the machines of that one.
func TestRootsTellOfTheAppWhoseAuthorityIssued(t *testing.T) {
	w := newWorld(t)
	v := w.verifier(t, nil)
	kms := newAuthority(t)
	victim := wantAccepted(t, v, w.evidence(t, tdxpki.Guest{})).AppInfo.AppID
	roots := x509.NewCertPool()
	roots.AddCert(kms.Root())
	for name, c := range map[string]struct {
		of   AppID
		want string
	}{
		"its own":     {victim, ""},
		"another app": {otherApp, "attested peer: app id " + victim.String() + ", but its issuing CA is of app " + otherApp.String()},
	} {
		t.Run(name, func(t *testing.T) {
			ca, key, err := kms.appCA(c.of)
			if err != nil {
				t.Fatal(err)
			}
			shown := w.Guest(tdxpki.Guest{CA: ca, CAKey: key}).Certificate.Leaf
			_, err = v.AppraisePeer(t.Context(), []*x509.Certificate{shown, ca}, Peer{App: victim, Roots: roots})
			if c.want != "" {
				wantError(t, err, c.want)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
	self := w.Guest(tdxpki.Guest{}).Certificate.Leaf
	pin := x509.NewCertPool()
	pin.AddCert(self)
	_, err := v.AppraisePeer(t.Context(), []*x509.Certificate{self}, Peer{Roots: pin})
	wantError(t, err, "attested peer: certificate is itself a root")
}
