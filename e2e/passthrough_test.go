package e2e

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"testing"

	"sallyport/internal/gwtest"
)

// serveTLS answers each connection to a TLS server on c with the name in the
// client's certificate, or "nobody".
func (c *cvm) serveTLS(t *testing.T, addr string, cfg *tls.Config) {
	t.Helper()
	l := tls.NewListener(c.host.Listen(t, addr), cfg)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				tc := conn.(*tls.Conn)
				if err := tc.HandshakeContext(t.Context()); err != nil {
					return
				}
				who := "nobody"
				if certs := tc.ConnectionState().PeerCertificates; len(certs) > 0 {
					who = certs[0].Subject.CommonName
				}
				_, _ = io.WriteString(tc, who) // the client says what it read
			}()
		}
	}()
}

// The certificates of both sides are the business of client and instance alone:
// the gateway has neither the server's key nor the authority that signed them.
func TestClientCertificateReachesTheInstanceThroughPassthrough(t *testing.T) {
	w := newWorld(t)
	w.start()
	own := gwtest.NewCA(t)
	serverName := name("alpha", "8443s")
	w.cvms[0].serveTLS(t, ":8443", &tls.Config{
		Certificates: []tls.Certificate{own.Server(t, serverName)},
		ClientCAs:    own.Pool(),
		ClientAuth:   tls.RequireAndVerifyClientCert,
	})
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			c := tls.Client(w.in(t).dial(), &tls.Config{
				ServerName: serverName, RootCAs: own.Pool(), MaxVersion: version,
				Certificates: []tls.Certificate{own.Client(t, "alice")},
			})
			if got, err := io.ReadAll(c); string(got) != "alice" || err != nil {
				t.Errorf("the instance knows %q, %v", got, err)
			}
		})
	}
	t.Run("WithoutOneTheInstanceRefuses", func(t *testing.T) {
		c := tls.Client(w.dial(), &tls.Config{ServerName: serverName, RootCAs: own.Pool()})
		if got, err := io.ReadAll(c); err == nil {
			t.Errorf("read %q", got)
		}
	})
}

// A passthrough name shows the instance's certificate, a terminated one the gateway's.
func TestEachModeShowsItsOwnersCertificate(t *testing.T) {
	w := newWorld(t)
	w.start()
	own := gwtest.NewCA(t)
	w.cvms[0].serveTLS(t, ":443", &tls.Config{Certificates: []tls.Certificate{own.Server(t, "*."+domain)}})
	w.cvms[0].serveTLS(t, ":80", &tls.Config{})
	for _, tt := range []struct {
		suffix string
		ca     *gwtest.CA
	}{
		{"s", own}, {"443s", own}, {"", w.ca}, {"80", w.ca},
	} {
		c := tls.Client(w.dial(), &tls.Config{ServerName: name("alpha", tt.suffix), InsecureSkipVerify: true})
		if err := c.HandshakeContext(t.Context()); err != nil {
			t.Fatalf("%q: %v", tt.suffix, err)
		}
		if _, err := c.ConnectionState().PeerCertificates[0].Verify(x509.VerifyOptions{Roots: tt.ca.Pool()}); err != nil {
			t.Errorf("%q: %v", tt.suffix, err)
		}
	}
}
