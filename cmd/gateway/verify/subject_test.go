package verify

import (
	"bytes"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"os"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"sallyport/internal/gwtest"
	"sallyport/internal/gwtest/tdxpki"
)

// forms are all in which a world's good evidence can be written, and how the report names them.
func forms(world *tdxpki.PKI) map[string]struct {
	what string
	data []byte
} {
	legacy := world.Guest(tdxpki.Guest{Form: tdxpki.FormLegacy}).Certificate.Certificate[0]
	m, v5 := world.Guest(tdxpki.Guest{}), world.Guest(tdxpki.Guest{V5: true, EventV2: true, Form: tdxpki.FormV1})
	der := m.Certificate.Certificate[0]
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	key := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("somebody's")})
	return map[string]struct {
		what string
		data []byte
	}{
		"PEM":                        {"certificate", text},
		"PEM chain":                  {"certificate", append(bytes.Clone(text), tdxpki.PEM(world.Root)...)},
		"PEM behind text and a key":  {"certificate", append(append([]byte("Bag Attributes\n"), key...), text...)},
		"DER":                        {"certificate", der},
		"DER, TD 1.5":                {"certificate", v5.Certificate.Certificate[0]},
		"DER, quote and log":         {"certificate", legacy},
		"V0":                         {"an attestation", m.Attestation.V0()},
		"V1":                         {"an attestation", v5.Attestation.V1()},
		"V1 with bin":                {"an attestation", v5.Attestation.V1Bin()},
		"V0 stripped":                {"an attestation", m.Attestation.Strip().V0()},
		"GetQuote":                   {"a quote with its event log", getQuoteOf(m, false)},
		"GetQuote, with attestation": {"an attestation", getQuoteOf(m, true)},
		"quote":                      {"a quote", m.Quote},
		"quote of version 5":         {"a quote", v5.Quote},
	}
}

func TestEveryFormOfEvidenceIsVerified(t *testing.T) {
	v := newVerification(t)
	app := hex.EncodeToString(v.world.Guest(tdxpki.Guest{}).AppInfo.AppID)
	for name, form := range forms(v.world) {
		t.Run(name, func(t *testing.T) {
			file := v.write("evidence", form.data)
			words := []string{file + ": " + form.what, "  app             " + app}
			if form.what == "a quote" {
				words = []string{file + ": a quote\n", "– app                            unknown", "  app             none\n"}
			}
			if form.what != "certificate" {
				words = append(words, "– key binding                    none, because there is no certificate")
			}
			v.wantVerified([]string{file}, words...)
			v.wantVerified([]string{v.write("hex", []byte(hex.EncodeToString(form.data)+"\n"))})
		})
	}
}

func TestHexIsReadAsToolsWriteIt(t *testing.T) {
	v := newVerification(t)
	digits := hex.EncodeToString(v.world.Guest(tdxpki.Guest{}).Quote)
	for name, text := range map[string]string{
		"upper case": strings.ToUpper(digits),
		"prefix":     "0x" + digits,
		"lines":      digits[:60] + "\n" + digits[60:120] + "\r\n" + digits[120:],
		"spaces":     " " + digits[:4] + " " + digits[4:],
	} {
		t.Run(name, func(*testing.T) { v.wantVerified([]string{v.write("hex", []byte(text))}) })
	}
}

func TestEvidenceComesFromStandardInput(t *testing.T) {
	gwtest.EndAtOnce(t)
	v := newVerification(t)
	cmd := gwtest.Program(t, v.args("-")...)
	cmd.Stdin = bytes.NewReader(v.world.Guest(tdxpki.Guest{}).Attestation.V0())
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.HasPrefix(string(out), "-: an attestation\n✓ ") {
		t.Errorf("%v\n%s", err, out)
	}
}

// What no evidence can be in is told in one line; nothing waits, and nothing is read whole
// that is large.
func TestWhatIsNoEvidenceIsToldInOneLine(t *testing.T) {
	gwtest.EndAtOnce(t)
	v := newVerification(t)
	huge := v.write("huge", nil)
	if err := os.Truncate(huge, 1<<30); err != nil {
		t.Fatal(err)
	}
	fifo := v.dir + "/fifo"
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	cut := v.world.Guest(tdxpki.Guest{}).Certificate.Certificate[0]
	for name, test := range map[string]struct{ what, says string }{
		"empty":               {v.write("empty", nil), "/empty: is empty"},
		"white space":         {v.write("white", []byte(" \n")), "/white: is empty"},
		"device":              {"/dev/zero", "/dev/zero: want a regular file, or - for standard input"},
		"directory":           {v.dir, "want a regular file"},
		"FIFO":                {fifo, "want a regular file"},
		"1 GiB":               {huge, "is larger than 41 MiB, the limit for evidence"},
		"no such path":        {v.dir + "/none", "no such file"},
		"garbage":             {v.write("garbage", []byte("to whom it may concern")), "is not a certificate, a quote, an attestation"},
		"cut certificate":     {v.write("cut", cut[:len(cut)-1]), "is not a certificate"},
		"plain certificate":   {v.write("plain", gwtest.NewCA(t).Server(t, "gw.test").Certificate[0]), "has no evidence in it: no attestation provided"},
		"key":                 {v.write("key", []byte("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")), "is PEM, but has no certificate"},
		"other JSON":          {v.write("json", []byte(`{"quote": ""}`)), "answer to GetQuote in JSON: it has neither attestation nor quote"},
		"JSON of other types": {v.write("types", []byte(`{"quote": 1}`)), "answer to GetQuote in JSON: json: cannot unmarshal"},
		"JSON without hex":    {v.write("nohex", []byte(`{"quote": "xyz"}`)), "quote: want hex"},
		"no host":             {"127.0.0.1:1", "is not a file; as a host: "},
	} {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			code, stdout, stderr := gwtest.Outcome(t, v.args(test.what)...)
			if code != 1 || stdout != "" || strings.Count(stderr, "\n") != 1 || !strings.HasPrefix(stderr, "gateway: ") || !strings.Contains(stderr, test.says) {
				t.Errorf("exit code %d after %v: %s%s; want %q", code, time.Since(start), stdout, stderr, test.says)
			}
		})
	}
}

// What looks like evidence is judged, and refused in a report.
func TestBrokenEvidenceIsRefused(t *testing.T) {
	v := newVerification(t)
	m := v.world.Guest(tdxpki.Guest{})
	changed := bytes.Clone(m.Quote)
	changed[200] ^= 1
	forger := tdxpki.New(2, v.world.Now).Guest(tdxpki.Guest{})
	for name, test := range map[string]struct {
		data []byte
		says string
	}{
		"cut quote":       {m.Quote[:600], "REFUSED: quote: "},
		"changed quote":   {changed, "✗ quote signature"},
		"cut attestation": {m.Attestation.V0()[:100], "REFUSED: attestation: "},
		"another Intel":   {forger.Certificate.Certificate[0], "✗ PCK chain"},
		"SEV-SNP by name": {[]byte{0, 1, 0}, "REFUSED: attestation: "},
	} {
		t.Run(name, func(*testing.T) {
			v.wantRefused([]string{v.write("evidence", test.data)}, test.says, "– policy                         not applied")
		})
	}
}

// The subject of a certificate, and what else evidence says, is shown to people.
func TestEvidenceCannotSteerTheTerminal(t *testing.T) {
	v := newVerification(t)
	steer := "\x1b[2J\rx\nVERIFIED: all is well\u202e"
	for _, form := range []tdxpki.Form{tdxpki.FormV0, tdxpki.FormNone} {
		m := v.world.Guest(tdxpki.Guest{Form: form, ChangeCertificate: func(c *tdxpki.Certificate) { c.Subject = steer }})
		out, err := v.verify(v.write("evidence", m.Certificate.Certificate[0]))
		if err != nil {
			out += err.Error()
		}
		if !strings.Contains(out, `VERIFIED: all is well`) || strings.ContainsAny(out, "\x1b\r\u202e") || strings.Contains(out, "\nVERIFIED: all") {
			t.Errorf("form %d: %q", form, out)
		}
	}
}

func FuzzParseSubject(f *testing.F) {
	for _, form := range forms(tdxpki.New(1, time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))) {
		f.Add(form.data)
	}
	for _, text := range []string{"", "00", "0x", "{}", `{"quote":"04"}`, "-----BEGIN ", "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n", "0", "\x80"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := parseSubject(data)
		if err != nil {
			if s != nil || err.Error() == "" {
				t.Fatalf("%+v beside %v", s, err)
			}
			return
		}
		if e := s.evidence; s.what == "" || len(e.Attestation) == 0 && len(e.Quote) == 0 {
			t.Fatalf("nothing is in %+v", s)
		}
		if unhex(data) != nil {
			return // of hex there is no hex
		}
		again, err := parseSubject([]byte(hex.EncodeToString(data)))
		if err != nil || !reflect.DeepEqual(again, s) {
			t.Fatalf("in hex: %+v, %v; want %+v", again, errors.Unwrap(err), s)
		}
	})
}
