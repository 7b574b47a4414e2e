package rpc

import (
	"context"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// eachTLS runs f for both versions of TLS that guests may have.
func eachTLS(t *testing.T, f func(t *testing.T, limit func(*tls.Config))) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			f(t, func(c *tls.Config) { c.MinVersion, c.MaxVersion = version, version })
		})
	}
}

func TestCertificateThatDoesNotHoldEndsTheHandshake(t *testing.T) {
	w := newWorld(t, nil)
	client := []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	expired := w.app.issue(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: "app1.inst1"}, ExtKeyUsage: client,
		NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(-time.Minute),
	})
	early := w.app.issue(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: "app1.inst1"}, ExtKeyUsage: client,
		NotBefore: time.Now().Add(time.Hour), NotAfter: time.Now().Add(48 * time.Hour),
	})
	forServers := w.app.issue(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: "app1.inst1"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
	alone := w.app.guest(t, "app1", "inst1")
	alone.Certificate = alone.Certificate[:1]
	// Made by a guest: its own leaf is no authority, whatever it signs.
	leaf := w.app.guest(t, "app1", "inst1")
	fake := w.app.sub(t, "Dstack App CA")
	byLeaf := fake.guest(t, "app2", "inst2")
	byLeaf.Certificate = append([][]byte{byLeaf.Certificate[0]}, leaf.Certificate...)

	eachTLS(t, func(t *testing.T, limit func(*tls.Config)) {
		for name, cert := range map[string]tls.Certificate{
			"another root":           newRoot(t).sub(t, "Dstack App CA").guest(t, "app1", "inst1"),
			"no root":                newRoot(t).guest(t, "app1", "inst1"),
			"expired":                expired,
			"not yet valid":          early,
			"for servers only":       forServers,
			"without its authority":  alone,
			"signed by another leaf": byLeaf,
		} {
			// Info needs no certificate: one that is bad is worse than none.
			if a, err := w.trySend(&cert, post("/prpc/Info?json", ""), limit); err == nil {
				t.Errorf("%s: status %d", name, a.status)
			}
		}
	})
}

func TestCertificatesOfGuestsAreTaken(t *testing.T) {
	w := newWorld(t, nil)
	second := w.root.sub(t, "Dstack App CA")
	mixed := second.guest(t, "app2", "inst2")
	// Several authorities of one name, the wrong one first.
	mixed.Certificate = [][]byte{mixed.Certificate[0], w.app.cert.Raw, second.cert.Raw, w.root.cert.Raw}
	withoutRoot := w.app.guest(t, "app1", "inst1")
	withoutRoot.Certificate = withoutRoot.Certificate[:2]
	eachTLS(t, func(t *testing.T, limit func(*tls.Config)) {
		for name, cert := range map[string]tls.Certificate{
			"as guests send it":    w.guest,
			"of another app":       second.guest(t, "app2", "inst2"),
			"two of one name":      mixed,
			"without the root":     withoutRoot,
			"for no stated use":    w.app.issue(t, &x509.Certificate{Subject: pkix.Name{CommonName: "app1.inst1"}}),
			"for servers, clients": w.app.server(t, "x"),
		} {
			a, err := w.trySend(&cert, post("/prpc/Info?json", ""), limit)
			if err != nil || a.status != 200 {
				t.Errorf("%s: status %d, %v", name, a.status, err)
			}
		}
	})
}

func TestNoCertificateIsAllowedWhereNoneIsNeeded(t *testing.T) {
	w := newWorld(t, nil)
	for method, want := range map[string]int{"Info": 200, "AcmeInfo": 200, "RegisterCvm": 400, "GetPeers": 400} {
		a := w.send(t, nil, post("/prpc/"+method+"?json", ""))
		if a.status != want {
			t.Errorf("%s: status %d: %s", method, a.status, a.body)
		}
		if want == 400 && errorOf(t, a) != "Client authentication is required" {
			t.Errorf("%s: %s", method, a.body)
		}
	}
}

func TestOldTLSIsRefused(t *testing.T) {
	w := newWorld(t, nil)
	_, err := w.trySend(nil, post("/prpc/Info?json", ""), func(c *tls.Config) {
		c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	})
	if err == nil {
		t.Error("TLS 1.1 is spoken")
	}
}

func TestCertificateThatExpiresOnAnOpenConnectionIsRefused(t *testing.T) {
	w := newWorld(t, nil)
	leaf := &x509.Certificate{Subject: pkix.Name{CommonName: "app1.inst1"}, NotAfter: time.Now().Add(-time.Second)}
	state := &tls.ConnectionState{PeerCertificates: []*x509.Certificate{leaf}, VerifiedChains: [][]*x509.Certificate{{leaf}}}
	a := w.direct(t.Context(), state, "/prpc/RegisterCvm?json", guests[0].body)
	if a.Code != 400 || !strings.Contains(a.Body.String(), "the client certificate expired at") || len(w.registrar.calls) != 0 {
		t.Errorf("status %d: %s", a.Code, a.Body)
	}
}

// What the handshake has found holds for its moment: the roots may change, and a certificate of
// the chain may end, while the connection is kept.
func TestChainIsVerifiedAtEachCall(t *testing.T) {
	dir, root := t.TempDir(), newRoot(t)
	var told [][]*x509.Certificate
	id, err := OpenIdentity(t.Context(), IdentityOptions{
		Files:         writeFiles(t, dir, root.server(t, "gw.example"), root),
		OnAuthorities: func(roots []*x509.Certificate) { told = append(told, roots) },
	})
	if err != nil {
		t.Fatal(err)
	}
	var chains [][]*x509.Certificate
	w := newWorld(t, func(o *Options) {
		o.Identity = id
		o.Identify = func(ctx context.Context, state *tls.ConnectionState) (Caller, error) {
			chains = state.VerifiedChains
			return testIdentify(ctx, state)
		}
	})
	app := root.sub(t, "Dstack App CA")
	guest := app.guest(t, "app1", "inst1")
	kept := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: root.pool(), Certificates: []tls.Certificate{guest}}}
	defer kept.CloseIdleConnections()
	register := func() string {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+w.addr+"/prpc/RegisterCvm?json", strings.NewReader(guests[0].body))
		if err != nil {
			t.Fatal(err)
		}
		res, err := kept.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(res.StatusCode, " ", string(body))
	}
	if said := register(); !strings.HasPrefix(said, "200") || !chains[0][len(chains[0])-1].Equal(root.cert) {
		t.Fatalf("%s, chains %v", said, chains)
	}
	other := newRoot(t)
	writeFiles(t, dir, other.server(t, "gw.example"), other)
	if changed, err := id.Reload(t.Context()); !changed || err != nil {
		t.Fatalf("%v, %v", changed, err)
	}
	if said := register(); !strings.HasPrefix(said, "400") || !strings.Contains(said, "no longer valid") {
		t.Errorf("under a root that is gone: %s", said)
	}
	if len(told) != 2 || !told[0][0].Equal(root.cert) || !told[1][0].Equal(other.cert) || len(w.registrar.calls) != 1 {
		t.Errorf("told of %d sets of roots, %d registered", len(told), len(w.registrar.calls))
	}
}

func TestChainWhoseAuthorityEndedIsRefused(t *testing.T) {
	w := newWorld(t, nil)
	c := w.root.issue(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: "Dstack App CA"}, KeyUsage: x509.KeyUsageCertSign, BasicConstraintsValid: true, IsCA: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(-time.Minute),
	})
	ended := &authority{c.Leaf, c.PrivateKey.(*ecdsa.PrivateKey), w.root}
	leaf := ended.guest(t, "app1", "inst1").Leaf
	state := &tls.ConnectionState{
		PeerCertificates: []*x509.Certificate{leaf, ended.cert}, VerifiedChains: [][]*x509.Certificate{{leaf, ended.cert, w.root.cert}},
	}
	if a := w.direct(t.Context(), state, "/prpc/RegisterCvm?json", guests[0].body); a.Code != 400 || len(w.registrar.calls) != 0 {
		t.Errorf("status %d: %s", a.Code, a.Body)
	}
}

func TestNoSessionOutlivesItsConnection(t *testing.T) {
	w := newWorld(t, nil)
	cache := tls.NewLRUClientSessionCache(4)
	for range 2 {
		conn, err := (&tls.Dialer{Config: &tls.Config{
			RootCAs: w.root.pool(), ServerName: "gw.example", ClientSessionCache: cache, Certificates: []tls.Certificate{w.guest},
		}}).DialContext(context.Background(), "tcp", w.addr)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write([]byte("GET /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")); err != nil {
			t.Fatal(err)
		}
		for b := make([]byte, 512); err == nil; { // a ticket comes before the answer
			_, err = conn.Read(b)
		}
		if conn.(*tls.Conn).ConnectionState().DidResume {
			t.Error("a session was resumed")
		}
		conn.Close()
	}
}
