package ratls

import (
	"errors"
	"slices"
	"testing"

	"sallyport/internal/gwtest/tdxpki"
	"sallyport/ratls/attestation"
)

// broken is a machine with one thing wrong.
type broken struct {
	name  string
	guest tdxpki.Guest
	want  string
	is    error // nil: any that is not of a policy
}

func event(name, payload string) tdxpki.Event { return tdxpki.RuntimeEvent(name, []byte(payload)) }

// at is where an event is.
func at(l tdxpki.Log, name string) int {
	return slices.IndexFunc(l, func(e tdxpki.Event) bool { return e.Name == name })
}

// told changes the log after it was measured: in both copies.
func told(change func(tdxpki.Log) tdxpki.Log) func(*tdxpki.Attestation) {
	return func(a *tdxpki.Attestation) {
		a.Log, a.Runtime = change(slices.Clone(a.Log)), change(slices.Clone(a.Runtime))
	}
}

func brokenBindings() []broken {
	const attribute, pod = tdxpki.AttributeDebug, "app-data"
	return []broken{
		{"bound to another key", tdxpki.Guest{ChangeQuote: func(q *tdxpki.Quote) {
			q.TD.ReportData = tdxpki.ReportData("ratls-cert", []byte("another"))
		}}, "key binding: report data of the quote does not bind", ErrKeyBinding},
		{"bound for another purpose", tdxpki.Guest{ChangeQuote: func(q *tdxpki.Quote) {
			q.TD.ReportData = tdxpki.ReportData(pod, []byte("key"))
		}}, "key binding:", ErrKeyBinding},
		{"report data of the attestation", tdxpki.Guest{ChangeAttestation: func(a *tdxpki.Attestation) {
			a.ReportData[63] ^= 1
		}}, "report data:", ErrReportData},
		{"debug", tdxpki.Guest{ChangeQuote: func(q *tdxpki.Quote) { q.TD.TDAttributes |= attribute }}, "trust domain:", nil},
		{"no SEPT_VE_DISABLE", tdxpki.Guest{ChangeQuote: func(q *tdxpki.Quote) {
			q.TD.TDAttributes &^= tdxpki.AttributeSEPTVEDisable
		}}, "trust domain:", nil},
		{"measurement changed after signing", tdxpki.Guest{ChangeSigned: func(q *tdxpki.Quote) { q.TD.MRTD[0] ^= 1 }}, "quote signature:", nil},
		{"quote of nobody", tdxpki.Guest{ChangeSigned: func(q *tdxpki.Quote) { q.Signature = [64]byte{} }}, "quote signature:", nil},
		{"started as another app", tdxpki.Guest{ChangeQuote: func(q *tdxpki.Quote) { q.TD.MRConfigID[1] ^= 1 }}, "mr_config_id:", ErrMRConfigID},
		{"unknown form of mr_config_id", tdxpki.Guest{ChangeQuote: func(q *tdxpki.Quote) { q.TD.MRConfigID[0] = 4 }}, "mr_config_id:", ErrMRConfigID},
	}
}

func brokenLogs() []broken {
	change := func(f func(tdxpki.Log) tdxpki.Log) tdxpki.Guest { return tdxpki.Guest{ChangeAttestation: told(f)} }
	measured := func(f func(tdxpki.Log) tdxpki.Log) tdxpki.Guest { return tdxpki.Guest{ChangeLog: f} }
	replay, ambiguous := attestation.ErrReplay, attestation.ErrAmbiguous
	return []broken{
		{"payload changed", change(func(l tdxpki.Log) tdxpki.Log {
			l[at(l, "app-id")].Payload = make([]byte, 20)
			return l
		}), "event log:", replay},
		{"name changed", change(func(l tdxpki.Log) tdxpki.Log {
			l[at(l, "app-id")].Name = "app_id"
			return l
		}), "event log:", replay},
		{"event left out", change(func(l tdxpki.Log) tdxpki.Log {
			i := at(l, "storage-fs")
			return slices.Delete(l, i, i+1)
		}), "event log:", replay},
		{"events changed places", change(func(l tdxpki.Log) tdxpki.Log {
			i, j := at(l, "app-id"), at(l, "compose-hash")
			l[i], l[j] = l[j], l[i]
			return l
		}), "event log:", replay},
		{"event added before system-ready", change(func(l tdxpki.Log) tdxpki.Log {
			return slices.Insert(l, at(l, "app-id"), event("app-id", "other app of 20 byte"))
		}), "event log:", replay},
		{"event added after system-ready", change(func(l tdxpki.Log) tdxpki.Log {
			return append(l, event("x", ""))
		}), "event log:", replay},
		{"no log", tdxpki.Guest{ChangeAttestation: func(a *tdxpki.Attestation) { a.Log, a.Runtime = nil, nil }}, "event log:", replay},
		{"name with a colon", change(func(l tdxpki.Log) tdxpki.Log {
			e := &l[at(l, "key-provider")]
			e.Name, e.Payload = `key-provider:{"name"`, e.Payload[len(`{"name":`):]
			return l
		}), "event log:", ambiguous},
		{"no app id", measured(func(l tdxpki.Log) tdxpki.Log {
			i := at(l, "app-id")
			return slices.Delete(l, i, i+1)
		}), "app: no event names the app", nil},
		{"app id of zeros", measured(func(l tdxpki.Log) tdxpki.Log {
			l[at(l, "app-id")] = event("app-id", string(make([]byte, 20)))
			return l
		}), "app: no event names the app", nil},
		{"app id only after system-ready", measured(func(l tdxpki.Log) tdxpki.Log {
			i := at(l, "app-id")
			late := l[i]
			return append(slices.Delete(l, i, i+1), late)
		}), "app: no event names the app", nil},
		{"app id of 19 bytes", measured(func(l tdxpki.Log) tdxpki.Log {
			l[at(l, "app-id")] = event("app-id", "nineteen bytes long")
			return l
		}), "app: malformed system event: app-id: 19 bytes", ErrEvent},
		{"key provider that is no JSON", tdxpki.Guest{KeyProvider: "kms"}, "key provider: event key-provider:", nil},
		{"key provider that paints the terminal", tdxpki.Guest{KeyProvider: `{"name":"\u001b[2Jkms","id":""}`}, "key provider: event key-provider: name is not", nil},
		{"key provider without a name", tdxpki.Guest{KeyProvider: `{"id":"00"}`}, "key provider: event key-provider: name is not", nil},
		{"key provider's id is no hex", tdxpki.Guest{KeyProvider: `{"name":"kms","id":"xx"}`}, "key provider: event key-provider: id:", nil},
		{"configuration of another image", tdxpki.Guest{ChangeAttestation: func(a *tdxpki.Attestation) {
			a.Config = `{"os_image_hash":"` + imageHex + `"}`
		}}, "app:", ErrOSImage},
		{"configuration that is no JSON", tdxpki.Guest{ChangeAttestation: func(a *tdxpki.Attestation) { a.Config = "{" }}, "configuration: vm config: ends too early", nil},
	}
}

func TestBrokenEvidenceIsRefused(t *testing.T) {
	w := newWorld(t)
	v := w.verifier(t, nil)
	for _, b := range append(brokenBindings(), brokenLogs()...) {
		for _, form := range []tdxpki.Form{tdxpki.FormV0, tdxpki.FormV1} {
			t.Run(b.name, func(t *testing.T) {
				g := b.guest
				g.Form = form
				err := refusal(t, v, w.evidence(t, g), b.want)
				if b.is != nil && !errors.Is(err, b.is) {
					t.Errorf("%v is not %v", err, b.is)
				}
				wantPolicy(t, err, false)
			})
		}
	}
}

// A log in JSON is held to the same: the digests that it lists prove nothing.
func TestBrokenLegacyLogIsRefused(t *testing.T) {
	w := newWorld(t)
	v := w.verifier(t, nil)
	good := w.evidence(t, tdxpki.Guest{Form: tdxpki.FormLegacy})
	for name, c := range map[string]struct{ log, want string }{
		"not JSON": {"[", "event log: event log:"},
		"empty":    {"[]", "event log: event log does not replay"},
		"changed payload under the old digest": {func() string {
			m := w.Guest(tdxpki.Guest{Form: tdxpki.FormLegacy})
			l := slices.Clone(m.Log)
			l[at(l, "app-id")].Payload = make([]byte, 20)
			return string(l.JSON())
		}(), "event log: event log does not replay"},
	} {
		t.Run(name, func(t *testing.T) {
			e := good
			e.EventLog = []byte(c.log)
			wantRefused(t, v, e, c.want)
		})
	}
}

// What an application adds is in RTMR3, and changes nothing that is believed.
func TestEventsOfApplicationsAreNotBelieved(t *testing.T) {
	w := newWorld(t)
	v := w.verifier(t, nil)
	want := wantAccepted(t, v, w.evidence(t, tdxpki.Guest{}))
	got := wantAccepted(t, v, w.evidence(t, tdxpki.Guest{ChangeLog: func(l tdxpki.Log) tdxpki.Log {
		return append(l, event("app-id", "other app of 20 byte"), event("key-provider", `{"name":"none","id":""}`), event("os-image-hash", ""))
	}}))
	if got.AppInfo.AppID != want.AppInfo.AppID || got.KeyProvider.Name != "kms" || got.OSImage != want.OSImage {
		t.Errorf("%+v", got)
	}
	if got.AppInfo.MRAggregated == want.AppInfo.MRAggregated {
		t.Error("mr_aggregated does not see them")
	}
}

// Of two names of the system's the first counts, as in dstack.
func TestFirstAppIDCounts(t *testing.T) {
	w := newWorld(t)
	v := w.verifier(t, nil)
	want := wantAccepted(t, v, w.evidence(t, tdxpki.Guest{})).AppInfo.AppID
	got := wantAccepted(t, v, w.evidence(t, tdxpki.Guest{ChangeLog: func(l tdxpki.Log) tdxpki.Log {
		return slices.Insert(l, at(l, "instance-id"), event("app-id", "other app of 20 byte"))
	}}))
	if got.AppInfo.AppID != want {
		t.Errorf("app %s, want %s", got.AppInfo.AppID, want)
	}
}
