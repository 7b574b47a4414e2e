package certs

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"net"
	"slices"
	"strings"
	"testing"

	"sallyport/internal/ciphers"
)

// client is a config that trusts ca and asks for a name below gw.example.
func client(ca *authority, protocols ...string) *tls.Config {
	return &tls.Config{RootCAs: ca.pool(), ServerName: "app.gw.example", NextProtos: protocols}
}

// handshake runs one over a pipe and returns what the client sees. It reads a
// byte, so that the client has the tickets too.
func handshake(server, client *tls.Config) (tls.ConnectionState, error) {
	near, far := net.Pipe()
	served := make(chan error, 1)
	go func() {
		c := tls.Server(far, server)
		_, err := c.Write([]byte{1})
		c.NetConn().Close()
		served <- err
	}()
	c := tls.Client(near, client)
	_, err := c.Read(make([]byte, 1))
	near.Close()
	if serverErr := <-served; err == nil {
		err = serverErr
	}
	return c.ConnectionState(), err
}

func TestHandshakeByVersion(t *testing.T) {
	ca := newAuthority(t)
	s := ca.issue(t, nil).save(t, t.TempDir(), "gw.example")
	for _, tc := range []struct {
		name            string
		least, client   uint16
		wantErr         bool
		wantCurve       tls.CurveID
		clientKeyShares []tls.CurveID
	}{
		{name: "TLS 1.3 is post-quantum", client: tls.VersionTLS13, wantCurve: tls.X25519MLKEM768},
		{name: "TLS 1.3 without the hybrid", client: tls.VersionTLS13, clientKeyShares: []tls.CurveID{tls.X25519, tls.CurveP256}, wantCurve: tls.X25519},
		{name: "TLS 1.3 with P-521 alone", client: tls.VersionTLS13, clientKeyShares: []tls.CurveID{tls.CurveP521}, wantErr: true},
		{name: "TLS 1.2", client: tls.VersionTLS12, wantCurve: tls.X25519},
		{name: "TLS 1.1", client: tls.VersionTLS11, wantErr: true},
		{name: "TLS 1.2 where 1.3 is wanted", least: tls.VersionTLS13, client: tls.VersionTLS12, wantErr: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			x := open(t, Options{MinVersion: tc.least}, s)
			cl := client(ca)
			cl.MinVersion, cl.MaxVersion, cl.CurvePreferences = tls.VersionTLS10, tc.client, tc.clientKeyShares
			st, err := handshake(x.TLSConfig("gw.example", ""), cl)
			if (err != nil) != tc.wantErr {
				t.Fatal(err)
			}
			if err == nil && (st.Version != tc.client || st.CurveID != tc.wantCurve) {
				t.Errorf("%s with %s", tls.VersionName(st.Version), st.CurveID)
			}
		})
	}
}

func TestVersionBelow12IsNoMinimum(t *testing.T) {
	if _, err := Open(nil, Options{MinVersion: tls.VersionTLS11}); err == nil {
		t.Error("accepted")
	}
}

// Of TLS 1.2 only suites with a fresh key exchange and AEAD are taken, unless more are
// asked for.
func TestSuitesOfTLS12(t *testing.T) {
	ca := newAuthority(t)
	s := ca.issue(t, nil).save(t, t.TempDir(), "gw.example")
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	withRSA := ca.issueFor(t, key, nil).save(t, t.TempDir(), "gw.example")
	for _, suite := range slices.Concat(tls.CipherSuites(), tls.InsecureCipherSuites()) {
		if !slices.Contains(suite.SupportedVersions, tls.VersionTLS12) {
			continue
		}
		s := s
		if !strings.Contains(suite.Name, "_ECDSA_") {
			s = withRSA
		}
		for _, tc := range []struct {
			opts Options
			want bool
		}{
			{Options{}, slices.Contains(ciphers.Intermediate(), suite.ID)},
			{Options{CipherSuites: []uint16{suite.ID}}, true},
		} {
			cl := client(ca)
			cl.MaxVersion, cl.CipherSuites = tls.VersionTLS12, []uint16{suite.ID}
			st, err := handshake(open(t, tc.opts, s).TLSConfig("gw.example", ""), cl)
			if (err == nil) != tc.want || tc.want && st.CipherSuite != suite.ID {
				t.Errorf("%s with %s: %v", suite.Name, ciphers.Names(tc.opts.CipherSuites), err)
			}
		}
	}
}

func TestConfigSelectsItsProtocol(t *testing.T) {
	ca := newAuthority(t)
	x := open(t, Options{}, ca.issue(t, nil).save(t, t.TempDir(), "gw.example"))
	all := []string{"h2", "http/1.1", "postgresql"}
	long := strings.Repeat("\x00", 255)
	for _, tc := range []struct {
		config  string
		offers  []string
		want    string
		wantErr bool
	}{
		{config: "", offers: all},
		{config: "http/1.1", offers: all, want: "http/1.1"},
		{config: "postgresql", offers: all, want: "postgresql"},
		{config: "h2", offers: all, want: "h2"},
		{config: "mqtt", offers: []string{"h2", "mqtt"}, want: "mqtt"},
		{config: long, offers: []string{long}, want: long},
		{config: "mqtt", offers: all, wantErr: true},
		{config: "h2"},
		{config: "h2", offers: []string{"http/1.1"}}, // crypto/tls, not us: see TLSConfig
		{config: "http/1.1", offers: []string{"h2"}, wantErr: true},
	} {
		st, err := handshake(x.TLSConfig("gw.example", tc.config), client(ca, tc.offers...))
		if (err != nil) != tc.wantErr || st.NegotiatedProtocol != tc.want {
			t.Errorf("%q serves %q: %q, %v", tc.config, tc.offers, st.NegotiatedProtocol, err)
		}
	}
}

func TestUnknownDomainHasNoConfig(t *testing.T) {
	x := open(t, Options{}, newAuthority(t).issue(t, nil).save(t, t.TempDir(), "gw.example"))
	if x.TLSConfig("example", "") != nil || x.TLSConfig("example", "mqtt") != nil {
		t.Error("a config for what is not served")
	}
}

func TestChoosingAConfigDoesNotAllocate(t *testing.T) {
	x := open(t, Options{}, newAuthority(t).issue(t, nil).save(t, t.TempDir(), "gw.example"))
	if n := testing.AllocsPerRun(100, func() { x.TLSConfig("gw.example", "h2") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestChainIsSentWhole(t *testing.T) {
	ca := newAuthority(t)
	c := ca.issue(t, nil)
	c.cert = slices.Concat(c.cert, pemBlock("CERTIFICATE", ca.cert.Raw))
	x := open(t, Options{}, c.save(t, t.TempDir(), "gw.example"))
	st, err := handshake(x.TLSConfig("gw.example", ""), client(ca))
	if err != nil || len(st.PeerCertificates) != 2 {
		t.Errorf("%d certificates, %v", len(st.PeerCertificates), err)
	}
}
