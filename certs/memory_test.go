package certs

import (
	"bytes"
	"crypto/elliptic"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

var made = Source{Domain: "gw.example", From: "acme"}

// pair is an issued certificate as its maker has it in memory.
func (c issued) pair(t *testing.T) *tls.Certificate {
	t.Helper()
	p, err := tls.X509KeyPair(c.cert, c.key)
	if err != nil {
		t.Fatal(err)
	}
	p.Leaf = nil // it need not be set
	return &p
}

func TestMadeCertificateIsServedOnceItIsThere(t *testing.T) {
	ca := newAuthority(t)
	x := open(t, Options{}, made)
	conf := x.TLSConfig("gw.example", "")
	for n := 1; n <= 2; n++ {
		if err := x.Set("gw.example", ca.issue(t, nil).pair(t)); err != nil {
			t.Fatal(err)
		}
		if got, want := serial(t, x, ca), fmt.Sprintf("a%d", n); got != want {
			t.Errorf("serves %s, want %s", got, want)
		}
	}
	if x.TLSConfig("gw.example", "") != conf {
		t.Error("the config's pointer changed")
	}
	if st := x.Status()[0]; st.Serial != "a2" || st.Source != "acme" {
		t.Errorf("%+v", st)
	}
	if n, err := x.Reload(); n != 0 || err != nil || serial(t, x, ca) != "a2" {
		t.Errorf("a reload of files replaced %d of none, %v", n, err)
	}
}

func TestHandshakeBeforeTheCertificateIsRefusedWithAnAlertAndALine(t *testing.T) {
	ca := newAuthority(t)
	var log bytes.Buffer
	x := open(t, logTo(&log), made)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13, tls.VersionTLS13} {
		cl := client(ca)
		cl.MaxVersion = version
		_, err := handshake(x.TLSConfig("gw.example", "http/1.1"), cl)
		if fmt.Sprint(err) != "remote error: tls: internal error" {
			t.Errorf("%s: %v, want the alert internal_error", tls.VersionName(version), err)
		}
	}
	if want := "level=WARN msg=\"handshakes are refused\" domain=gw.example\n"; log.String() != want {
		t.Errorf("log:\n%s", log.String())
	}
	if got := testutil.ToFloat64(x.missed); got != 3 {
		t.Errorf("%v counted, want 3", got)
	}
}

func TestNotReadyWhileADomainOfTheStartHasNoCertificate(t *testing.T) {
	ca, dir := newAuthority(t), t.TempDir()
	file := ca.issue(t, func(c *x509.Certificate) { c.DNSNames = []string{"*.a.example"} }).save(t, dir, "a.example")
	x := open(t, Options{}, file, made)
	const want = "certificate of gw.example: there is none yet: want one from acme"
	if err := x.Ready(); fmt.Sprint(err) != want {
		t.Errorf("%v, want %s", err, want)
	}
	if d := cmp.Diff(Status{Domain: "gw.example", Source: "acme"}, x.Status()[1]); d != "" {
		t.Error(d)
	}
	if n := testutil.CollectAndCount(x.Collectors()[2]); n != 1 {
		t.Errorf("%d domains have an expiry, want 1", n)
	}
	if err := x.Set("gw.example", ca.issue(t, nil).pair(t)); err != nil {
		t.Fatal(err)
	}
	if err := x.Ready(); err != nil {
		t.Error(err)
	}
	// One that is added to a gateway at work does not take it from its load balancer.
	if err := x.SetSources([]Source{file, made, {Domain: "new.example", From: "acme"}}); err != nil {
		t.Fatal(err)
	}
	if err := x.Ready(); err != nil {
		t.Error(err)
	}
}

func TestBadMadeCertificateLeavesTheOldOne(t *testing.T) {
	ca := newAuthority(t)
	x := open(t, Options{}, made)
	good := ca.issue(t, nil).pair(t)
	if err := x.Set("gw.example", good); err != nil {
		t.Fatal(err)
	}
	swapped, noKey := *good, *good
	swapped.PrivateKey, noKey.PrivateKey = newECDSA(t, elliptic.P256()), nil
	for name, tc := range map[string]struct {
		domain string
		cert   *tls.Certificate
		want   string
	}{
		"another domain": {
			"gw.example", ca.issue(t, func(c *x509.Certificate) { c.DNSNames = []string{"gw.example"} }).pair(t),
			`certificate of gw.example, from acme: is for ["gw.example"]: want one for "*.gw.example"`,
		},
		"expired": {
			"gw.example", ca.issue(t, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Second) }).pair(t),
			"expired at",
		},
		"key of another": {"gw.example", &swapped, "the key is not the certificate's"},
		"no key":         {"gw.example", &noKey, "cannot sign"},
		"nothing":        {"gw.example", &tls.Certificate{}, "has 0 certificates"},
		"noise":          {"gw.example", &tls.Certificate{Certificate: [][]byte{{1}}, PrivateKey: good.PrivateKey}, "certificate 1: x509"},
		"unknown domain": {"other.example", good, "certificate of other.example: no domain needs it"},
	} {
		if err := x.Set(tc.domain, tc.cert); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %s", name, err, tc.want)
		}
		if got := serial(t, x, ca); got != "a1" {
			t.Errorf("%s: serves %s", name, got)
		}
	}
}

func TestDomainWithFilesTakesNoMadeCertificate(t *testing.T) {
	ca := newAuthority(t)
	s := ca.issue(t, nil).save(t, t.TempDir(), "gw.example")
	x := open(t, Options{}, s)
	if err := x.Set("gw.example", ca.issue(t, nil).pair(t)); err == nil || serial(t, x, ca) != "a1" {
		t.Errorf("set: %v", err)
	}
	s.From = "acme"
	const want = "certificate of gw.example: is from acme and from files: want one of the two"
	if _, err := Open([]Source{s}, Options{}); fmt.Sprint(err) != want {
		t.Error(err)
	}
}

func TestDomainsComeAndGo(t *testing.T) {
	ca, dir := newAuthority(t), t.TempDir()
	file := ca.issue(t, nil).save(t, dir, "gw.example")
	x := open(t, Options{}, file)
	conf := x.TLSConfig("gw.example", "")
	cl := client(ca)
	cl.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	if _, err := handshake(conf, cl); err != nil {
		t.Fatal(err)
	}
	other := ca.issue(t, func(c *x509.Certificate) { c.DNSNames = []string{"*.b.example"} }).save(t, dir, "b.example")
	if err := x.SetSources([]Source{other, file}); err != nil {
		t.Fatal(err)
	}
	if x.TLSConfig("gw.example", "") != conf || x.TLSConfig("b.example", "") == nil {
		t.Error("the domain that stays has a new config, or the new one has none")
	}
	if st, err := handshake(x.TLSConfig("gw.example", ""), cl); err != nil || !st.DidResume {
		t.Errorf("resumed %v, %v", st.DidResume, err)
	}
	if err := x.SetSources([]Source{{Domain: "c.example", CertFile: dir, KeyFile: dir}}); err == nil || len(x.Status()) != 2 {
		t.Errorf("a bad set of domains: %v, %+v", err, x.Status())
	}
	// What was served from files is served until the certificate is made.
	if err := x.SetSources([]Source{made}); err != nil {
		t.Fatal(err)
	}
	if got := serial(t, x, ca); got != "a1" || x.TLSConfig("b.example", "") != nil {
		t.Errorf("serves %s", got)
	}
}

func TestApexHasACertificateOfItsOwn(t *testing.T) {
	ca := newAuthority(t)
	apex := made
	apex.Apex = true
	x := open(t, Options{}, made, apex)
	wild := ca.issue(t, nil).pair(t)
	own := ca.issue(t, func(c *x509.Certificate) { c.DNSNames = []string{"gw.example"} }).pair(t)
	if err := x.SetApex("gw.example", wild); err == nil || !strings.Contains(err.Error(), `want one for "gw.example"`) {
		t.Errorf("a wildcard for the domain itself: %v", err)
	}
	if err := x.Set("gw.example", own); err == nil || !strings.Contains(err.Error(), `want one for "*.gw.example"`) {
		t.Errorf("the domain's own in place of the wildcard: %v", err)
	}
	if err := errors.Join(x.Set("gw.example", wild), x.SetApex("gw.example", own)); err != nil {
		t.Fatal(err)
	}
	if err := x.Ready(); err != nil {
		t.Error(err)
	}
	for apex, conf := range map[bool]*tls.Config{false: x.TLSConfig("gw.example", "http/1.1"), true: x.ApexTLSConfig("gw.example", "http/1.1")} {
		cert, err := conf.GetCertificate(&tls.ClientHelloInfo{})
		if err != nil || (cert.Leaf.DNSNames[0] == "gw.example") != apex {
			t.Errorf("apex %t: %v, %v", apex, cert, err)
		}
	}
	if err := x.SetSources([]Source{made}); err != nil {
		t.Fatal(err)
	}
	if x.ApexTLSConfig("gw.example", "http/1.1") != nil || x.TLSConfig("gw.example", "http/1.1") == nil {
		t.Error("the removed source is served, or the other is not")
	}
	if err := x.SetApex("gw.example", own); err == nil {
		t.Error("a removed source took a certificate")
	}
}
