package status

import (
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"sallyport/admin"
)

func TestStatusTellsWhyACertificateIsMissing(t *testing.T) {
	at := time.Date(2026, 11, 21, 15, 4, 5, 0, time.Local)
	var out strings.Builder
	w := tabwriter.NewWriter(&out, 0, 0, 2, ' ', 0)
	writeCertificates(w, []admin.Certificate{
		{Domain: "a.test", Name: "*.a.test", NotAfter: at, Issuer: "CN=R10", NextTry: at},
		{Domain: "a.test", Name: "a.test", NextTry: at, FailedAt: at, Failures: 2, LastError: "no NS record;\n set: a.test. NS ns.a.test."},
		{Domain: "files.test", Name: "*.files.test", NotAfter: at, Issuer: "CN=own"},
	})
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	const want = `
NAME          CERTIFICATE UNTIL  ISSUER  NEXT TRY
*.a.test      2026-11-21         CN=R10  2026-11-21 15:04:05
a.test        none yet           -       2026-11-21 15:04:05
*.files.test  2026-11-21         CN=own  -

a.test: no new certificate (failures in a row: 2, the last at 2026-11-21 15:04:05): no NS record; set: a.test. NS ns.a.test.
`
	if out.String() != want {
		t.Errorf("%s, want %s", out.String(), want)
	}
}
