package certs

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// serial is what a client of gw.example is served with.
func serial(t *testing.T, x *Index, ca *authority) string {
	t.Helper()
	st, err := handshake(x.TLSConfig("gw.example", ""), client(ca))
	if err != nil {
		t.Fatal(err)
	}
	return st.PeerCertificates[0].SerialNumber.Text(16)
}

// logTo is options that write to b without times.
func logTo(b *bytes.Buffer) Options {
	return Options{Log: slog.New(slog.NewTextHandler(b, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey || a.Key == "not_after" || a.Key == "file" || a.Key == "error" {
			return slog.Attr{}
		}
		return a
	}}))}
}

func TestReloadCountsWhatChanged(t *testing.T) {
	ca, dir := newAuthority(t), t.TempDir()
	x := open(t, Options{}, ca.issue(t, nil).save(t, dir, "gw.example"))
	if n, err := x.Reload(); n != 0 || err != nil {
		t.Errorf("nothing new: %d, %v", n, err)
	}
	before := x.TLSConfig("gw.example", "")
	ca.issue(t, nil).save(t, dir, "gw.example")
	if n, err := x.Reload(); n != 1 || err != nil {
		t.Errorf("one new: %d, %v", n, err)
	}
	if got := serial(t, x, ca); got != "a2" {
		t.Errorf("serves %s", got)
	}
	if x.TLSConfig("gw.example", "") != before {
		t.Error("the config's pointer changed")
	}
}

func TestBadReplacementLeavesTheOldCertificate(t *testing.T) {
	ca, dir := newAuthority(t), t.TempDir()
	s := ca.issue(t, nil).save(t, dir, "gw.example")
	x := open(t, Options{}, s)
	until := x.Status()[0].NotAfter.UTC().Format(time.RFC3339)
	for _, tc := range []struct {
		name string
		bad  issued
		want string
	}{
		{"noise", issued{[]byte("x"), []byte("y")}, s.CertFile + ": has no certificate"},
		{"expired", ca.issue(t, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Second) }), s.CertFile + ": expired at"},
	} {
		tc.bad.save(t, dir, "gw.example")
		n, err := x.Reload()
		want := "certificate of gw.example: not replaced; the one valid until " + until + " stays in use: " + tc.want
		if n != 0 || !strings.HasPrefix(fmt.Sprint(err), want) {
			t.Errorf("%s: %d, %v", tc.name, n, err)
		}
	}
	if err := os.Remove(s.KeyFile); err != nil {
		t.Fatal(err)
	}
	if n, err := x.Reload(); n != 0 || err == nil {
		t.Errorf("without a key: %d, %v", n, err)
	}
	if got := serial(t, x, ca); got != "a1" {
		t.Errorf("serves %s", got)
	}
	if got := testutil.ToFloat64(x.failed); got != 3 {
		t.Errorf("%v failures counted, want 3", got)
	}
}

func TestCertificateReplacedBeforeItsKeyIsServedOnceBothAreThere(t *testing.T) {
	dir := t.TempDir()
	var log bytes.Buffer
	synctest.Test(t, func(t *testing.T) {
		ca := newAuthority(t)
		s := ca.issue(t, nil).save(t, dir, "gw.example")
		x := open(t, logTo(&log), s)
		stop := run(t, x)
		next := ca.issue(t, nil)
		replaceFile(t, s.CertFile, next.cert)
		pass(time.Minute) // twelve looks, told once
		if got := serial(t, x, ca); got != "a1" {
			t.Errorf("half replaced: serves %s", got)
		}
		replaceFile(t, s.KeyFile, next.key)
		pass(6 * time.Second)
		if got := serial(t, x, ca); got != "a2" {
			t.Errorf("replaced: serves %s", got)
		}
		stop()
	})
	const want = `level=WARN msg="certificate not replaced" domain=gw.example
level=INFO msg="certificate replaced" domain=gw.example serial=a2
`
	if d := cmp.Diff(want, log.String()); d != "" {
		t.Errorf("log (-want +got):\n%s", d)
	}
}

// The contents are the same, so that their sum does not tell.
func TestKeyThatBecomesOpenToOthersIsTold(t *testing.T) {
	ca := newAuthority(t)
	s := ca.issue(t, nil).save(t, t.TempDir(), "gw.example")
	x := open(t, Options{}, s)
	for mode, bad := range map[os.FileMode]bool{0o644: true, 0o400: false} {
		if err := os.Chmod(s.KeyFile, mode); err != nil {
			t.Fatal(err)
		}
		n, err := x.Reload()
		if told := err != nil && strings.Contains(err.Error(), s.KeyFile+": the private key is open to others (mode 0644)"); n != 0 || told != bad {
			t.Errorf("mode %o: %d, %v", mode, n, err)
		}
	}
	if got := serial(t, x, ca); got != "a1" {
		t.Errorf("serves %s", got)
	}
}

func TestSameProblemIsToldAgainAfterItWasSolved(t *testing.T) {
	dir := t.TempDir()
	var log bytes.Buffer
	synctest.Test(t, func(t *testing.T) {
		c := newAuthority(t).issue(t, nil)
		s := c.save(t, dir, "gw.example")
		stop := run(t, open(t, logTo(&log), s))
		for range 2 {
			replaceFile(t, s.KeyFile, nil)
			pass(time.Minute)
			replaceFile(t, s.KeyFile, c.key)
			pass(time.Minute)
		}
		stop()
	})
	if want := strings.Repeat("level=WARN msg=\"certificate not replaced\" domain=gw.example\n", 2); log.String() != want {
		t.Errorf("log:\n%s", log.String())
	}
}

func TestDoubtfulFilesAreWarnedOf(t *testing.T) {
	ca, other := newAuthority(t), newAuthority(t)
	c := ca.issue(t, nil)
	stranger := other.issue(t, func(c *x509.Certificate) { c.Subject.CommonName = "stranger" })
	c.cert = append(c.cert, stranger.cert...)
	s := c.save(t, t.TempDir(), "gw.example")
	var log bytes.Buffer
	open(t, logTo(&log), s)
	const want = `level=WARN msg="certificate chain has a problem" domain=gw.example problem="certificate 2 (CN=stranger) did not issue the one before it"
`
	if d := cmp.Diff(want, log.String()); d != "" {
		t.Errorf("log (-want +got):\n%s", d)
	}
}

func TestHandshakesGoOnWhileCertificatesAreReplaced(t *testing.T) {
	ca, dir := newAuthority(t), t.TempDir()
	pairs := [2]issued{ca.issue(t, nil), ca.issue(t, nil)}
	x := open(t, Options{}, pairs[0].save(t, dir, "gw.example"))
	cl := client(ca)
	var stop atomic.Bool
	var seen [2]atomic.Bool
	var clients sync.WaitGroup
	for range 2 {
		clients.Go(func() {
			for !stop.Load() {
				st, err := handshake(x.TLSConfig("gw.example", "http/1.1"), cl)
				if err != nil {
					t.Error(err)
					return
				}
				seen[st.PeerCertificates[0].SerialNumber.Int64()-0xa1].Store(true)
			}
		})
	}
	for i := 0; !t.Failed() && (i < 20 || !seen[0].Load() || !seen[1].Load()); i++ {
		pairs[i%2].save(t, dir, "gw.example")
		var reloads sync.WaitGroup
		for range 2 {
			reloads.Go(func() {
				if _, err := x.Reload(); err != nil {
					t.Error(err)
				}
			})
		}
		reloads.Wait()
		if got, want := x.Status()[0].Serial, []string{"a1", "a2"}[i%2]; got != want {
			t.Errorf("round %d: %s, want %s", i, got, want)
		}
		x.rotateTickets(time.Now().Add(time.Duration(i+1) * ticketRotation))
	}
	stop.Store(true)
	clients.Wait()
}
