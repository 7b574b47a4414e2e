package certs

import (
	"crypto/x509"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestReadyWhileOneCertificateIsValid(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		ca := newAuthority(t)
		short := func(domain string, d time.Duration) Source {
			return ca.issue(t, func(c *x509.Certificate) {
				c.DNSNames, c.NotAfter = []string{"*." + domain}, time.Now().Add(d)
			}).save(t, dir, domain)
		}
		x := open(t, Options{}, short("a.example", time.Hour), short("b.example", 2*time.Hour))
		pass(90 * time.Minute)
		if err := x.Ready(); err != nil {
			t.Errorf("one of two expired: %v", err)
		}
		pass(time.Hour)
		const want = `certificate of a.example: expired at 2000-01-01T01:00:00Z: want a renewed one; certificate of b.example: expired at 2000-01-01T02:00:00Z: want a renewed one`
		if err := x.Ready(); fmt.Sprint(err) != want {
			t.Errorf("both expired: %v", err)
		}
	})
}

func TestFIFOInTheFilesPlaceDoesNotHoldUpTheGateway(t *testing.T) {
	s := newAuthority(t).issue(t, nil).save(t, t.TempDir(), "gw.example")
	if err := os.Remove(s.KeyFile); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(s.KeyFile, 0o600); err != nil {
		t.Fatal(err)
	}
	want := "certificate of gw.example: " + s.KeyFile + ": want a regular file"
	if _, err := Open([]Source{s}, Options{}); fmt.Sprint(err) != want {
		t.Error(err)
	}
}

func TestIndexWithoutDomainsIsNotReady(t *testing.T) {
	if open(t, Options{}).Ready() == nil {
		t.Error("ready")
	}
}

func TestStatusTellsWhatIsServed(t *testing.T) {
	ca := newAuthority(t)
	s := ca.issue(t, nil).save(t, t.TempDir(), "gw.example")
	x := open(t, Options{}, s)
	got := x.Status()
	want := []Status{{
		Domain: "gw.example", NotAfter: x.table.Load().domains[0].served.Load().cert.Leaf.NotAfter,
		Serial: "a1", Issuer: "CN=test authority", Source: s.CertFile,
	}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestCollectors(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		x := open(t, Options{}, newAuthority(t).issue(t, nil).save(t, dir, "gw.example"))
		r := prometheus.NewPedanticRegistry()
		r.MustRegister(x.Collectors()...)
		const want = `
# HELP gateway_certificate_missing_total Handshakes refused because their domain had no certificate yet.
# TYPE gateway_certificate_missing_total counter
gateway_certificate_missing_total 0
# HELP gateway_certificate_not_after_seconds When the served certificate expires, in seconds since 1970.
# TYPE gateway_certificate_not_after_seconds gauge
gateway_certificate_not_after_seconds{domain="gw.example"} 9.481248e+08
# HELP gateway_certificate_reload_failures_total Times that a domain's certificate files were checked and could not be used. It grows while they are bad.
# TYPE gateway_certificate_reload_failures_total counter
gateway_certificate_reload_failures_total 0
`
		if err := testutil.GatherAndCompare(r, strings.NewReader(want)); err != nil {
			t.Error(err)
		}
	})
}
