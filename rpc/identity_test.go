package rpc

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"log/slog"
	"math/big"
	"net/http"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sallyport/internal/certfile"
)

// A scanner finds no more here than on the port for clients.
func TestGuestsMeetNoWeakCipherSuiteOrCurve(t *testing.T) {
	w := newWorld(t, nil)
	none := tls.Dialer{Config: &tls.Config{RootCAs: w.root.pool(), CurvePreferences: []tls.CurveID{tls.CurveP521}}}
	if c, err := none.DialContext(t.Context(), "tcp", w.addr); err == nil {
		c.Close()
		t.Error("P-521 alone is taken")
	}
	for suite, want := range map[uint16]bool{
		tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256:       true,
		tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256: true,
		tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA:          false,
		tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA:          false,
	} {
		d := tls.Dialer{Config: &tls.Config{RootCAs: w.root.pool(), MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{suite}}}
		c, err := d.DialContext(t.Context(), "tcp", w.addr)
		if (err == nil) != want {
			t.Errorf("%s: %v", tls.CipherSuiteName(suite), err)
		}
		if err == nil {
			c.Close()
		}
	}
}

func TestReplacedFilesAreServedAndConnectionsStay(t *testing.T) {
	dir, root := t.TempDir(), newRoot(t)
	id, err := OpenIdentity(t.Context(), IdentityOptions{Files: writeFiles(t, dir, root.server(t, "gw.example"), root)})
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, func(o *Options) { o.Identity = id })
	get := func(tr *http.Transport) *x509.Certificate {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+w.addr+"/health", nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := tr.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		return res.TLS.PeerCertificates[0]
	}
	guest := root.guest(t, "app1", "inst1") // a stranger's connection is not kept
	kept := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: root.pool(), Certificates: []tls.Certificate{guest}}, ForceAttemptHTTP2: true}
	defer kept.CloseIdleConnections()
	before := get(kept)

	// Another root: guests of the old one are strangers now.
	other := newRoot(t)
	writeFiles(t, dir, other.server(t, "gw.example"), other)
	if changed, err := id.Reload(t.Context()); !changed || err != nil {
		t.Fatalf("%v, %v", changed, err)
	}
	if now := get(kept); !now.Equal(before) {
		t.Error("the connection that was up has been dropped")
	}
	fresh := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: other.pool()}}
	defer fresh.CloseIdleConnections()
	if now := get(fresh); !now.Equal(id.Leaf()) || now.Equal(before) {
		t.Error("the old certificate is served")
	}
	old, w2 := root.guest(t, "a", "b"), &world{root: other, addr: w.addr}
	if a, err := w2.trySend(&old, post("/prpc/Info?json", ""), nil); err == nil {
		t.Errorf("the old root is believed: %d", a.status)
	}
	if changed, err := id.Reload(t.Context()); changed || err != nil {
		t.Errorf("nothing new: %v, %v", changed, err)
	}
}

func TestBadFilesAreRefused(t *testing.T) {
	root := newRoot(t)
	good := root.server(t, "gw.example")
	expired := root.issue(t, &x509.Certificate{
		DNSNames: []string{"gw.example"}, NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(-time.Hour),
	})
	early := root.issue(t, &x509.Certificate{
		DNSNames: []string{"gw.example"}, NotBefore: time.Now().Add(time.Hour), NotAfter: time.Now().Add(2 * time.Hour),
	})
	for name, c := range map[string]struct {
		spoil func(f Files)
		want  string
	}{
		"no file":       {func(f Files) { _ = os.Remove(f.Key) }, "key.pem: no such file"},
		"not PEM":       {func(f Files) { overwrite(f.Cert, []byte("x")) }, "failed to find any PEM data"},
		"another's key": {func(f Files) { overwrite(f.Key, keyPEM(t, root.server(t, "x"))) }, "private key does not match public key"},
		"expired": {func(f Files) {
			overwrite(f.Cert, certPEM(expired.Certificate...))
			overwrite(f.Key, keyPEM(t, expired))
		}, "expired at"},
		"not yet valid": {func(f Files) { overwrite(f.Cert, certPEM(early.Certificate...)); overwrite(f.Key, keyPEM(t, early)) }, "is the clock right?"},
		"an authority's": {func(f Files) {
			overwrite(f.Cert, certPEM(root.cert.Raw))
			overwrite(f.Key, keyPEM(t, tls.Certificate{PrivateKey: root.key}))
		}, "is a CA certificate"},
		"no client CA":      {func(f Files) { overwrite(f.ClientCA, nil) }, ".pem: has no certificate"},
		"client CA a leaf":  {func(f Files) { overwrite(f.ClientCA, certPEM(good.Certificate[0])) }, "is not an authority"},
		"client CA damaged": {func(f Files) { overwrite(f.ClientCA, certPEM([]byte{1})) }, ".pem: x509: malformed certificate"},
		"too large":         {func(f Files) { overwrite(f.ClientCA, make([]byte, certfile.MaxSize+1)) }, "want at most 262144 bytes"},
		"a folder":          {func(f Files) { _ = os.Remove(f.Key); _ = os.Mkdir(f.Key, 0o700) }, "want a regular file"},
	} {
		f := writeFiles(t, t.TempDir(), good, root)
		c.spoil(f)
		if _, err := OpenIdentity(t.Context(), IdentityOptions{Files: f}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	both := IdentityOptions{Files: Files{Cert: "x"}, Agent: Agent{Socket: "y"}}
	if _, err := OpenIdentity(t.Context(), both); err == nil {
		t.Error("two sources are taken")
	}
}

func TestLongRSAKeyIsRefused(t *testing.T) {
	root := newRoot(t)
	f := writeFiles(t, t.TempDir(), root.server(t, "gw.example"), root)
	key, err := rsa.GenerateKey(rand.Reader, certfile.MaxRSABits+8)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"gw.example"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}, root.cert, key.Public(), root.key)
	if err != nil {
		t.Fatal(err)
	}
	overwrite(f.Cert, certPEM(der))
	overwrite(f.Key, keyPEM(t, tls.Certificate{PrivateKey: key}))
	if _, err := OpenIdentity(t.Context(), IdentityOptions{Files: f}); err == nil || !strings.Contains(err.Error(), "has an RSA key with 4104 bits: want at most 4096") {
		t.Error(err)
	}
}

func overwrite(name string, data []byte) { _ = os.WriteFile(name, data, 0o600) }

func TestDoubtfulFilesAreWarnedAbout(t *testing.T) {
	root := newRoot(t)
	f := writeFiles(t, t.TempDir(), newRoot(t).server(t, "gw.example"), root)
	var log bytes.Buffer
	if _, err := OpenIdentity(t.Context(), IdentityOptions{Files: f, Log: slog.New(slog.NewTextHandler(&log, nil))}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"guests will refuse it"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("no %q in %s", want, log.String())
		}
	}
}

func TestKeyThatIsOpenToOthersIsRefused(t *testing.T) {
	root := newRoot(t)
	f := writeFiles(t, t.TempDir(), root.server(t, "gw.example"), root)
	for _, mode := range []os.FileMode{0o640, 0o604, 0o620} {
		if err := os.Chmod(f.Key, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := OpenIdentity(t.Context(), IdentityOptions{Files: f}); err == nil || !strings.Contains(err.Error(), "chmod 600") {
			t.Errorf("mode %o: %v", mode, err)
		}
	}
}

// script is a source that gives its materials one after the other; nil is a failure.
type script struct {
	loads []*material
	at    []time.Duration // when it was asked
	began time.Time
}

func (s *script) load(context.Context) (material, error) {
	s.at = append(s.at, time.Since(s.began))
	m := s.loads[min(len(s.at), len(s.loads))-1]
	if m == nil {
		return material{}, errors.New("the agent is away")
	}
	return *m, nil
}

func (s *script) wait(leaf *x509.Certificate, now time.Time, failures int) time.Duration {
	return newAgentSource(Agent{}).wait(leaf, now, failures)
}

func TestCertificateIsRenewedBeforeItEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		root := newRoot(t)
		made := func(life time.Duration) *material {
			c := root.issue(t, &x509.Certificate{
				Subject: pkix.Name{CommonName: "gw"}, NotBefore: time.Now(), NotAfter: time.Now().Add(life),
			})
			return &material{cert: certPEM(c.Certificate...), key: keyPEM(t, c), ca: certPEM(root.cert.Raw)}
		}
		const day = 24 * time.Hour
		s := &script{began: time.Now(), loads: []*material{made(9 * day), nil, nil, made(400 * day)}}
		root.cert.NotAfter = time.Now().Add(1000 * day)
		var log bytes.Buffer
		id := &Identity{source: s, log: slog.New(slog.NewTextHandler(&log, nil))}
		if _, err := id.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithTimeout(t.Context(), 300*day)
		defer stop()
		if err := id.Run(ctx); err != nil {
			t.Fatal(err)
		}
		// Due after two thirds of 9 days; the failures are retried after 1 and 2 minutes.
		want := []time.Duration{0, 6 * day, 6*day + time.Minute, 6*day + 3*time.Minute}
		if len(s.at) != len(want) {
			t.Fatalf("asked at %v, want %v", s.at, want)
		}
		for i := range want {
			if d := s.at[i] - want[i]; d < 0 || d > time.Second { // certificates count whole seconds
				t.Errorf("asked at %v, want %v", s.at, want)
			}
		}
		if n := strings.Count(log.String(), "not replaced"); n != 1 {
			t.Errorf("told %d times:\n%s", n, log.String())
		}
		if err := id.Ready(); err != nil {
			t.Error(err)
		}
	})
}
