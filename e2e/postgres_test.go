package e2e

import (
	"crypto/tls"
	"strconv"
	"strings"
	"testing"
)

// psql asks for TLS with an SSLRequest before its ClientHello.
func TestPsql(t *testing.T) {
	w := newWorld(t, "psql")
	w.start()
	port := strconv.Itoa(w.cvms[0].startPostgres(t, w.ca, "*."+domain))
	terminated, through := name("alpha", port), name("alpha", port+"s")

	psql := func(host, sql string, more ...string) (string, error) {
		settings := append([]string{
			"host=" + host, "hostaddr=" + gateway4, "port=443", "user=postgres", "dbname=postgres",
			"connect_timeout=10", "sslrootcert=" + w.root(),
		}, more...)
		return w.run("", "psql", "--no-psqlrc", "-At", "-v", "ON_ERROR_STOP=1", "-c", sql, strings.Join(settings, " "))
	}
	const inTLS = "select ssl from pg_stat_ssl where pid = pg_backend_pid()"

	for _, tt := range []struct {
		name, host, mode, sql, want string
	}{
		{"RequiresTLSAndIsTerminated", terminated, "sslmode=require", inTLS, "f"},
		{"GoesOnToTLSWhenThePlainWayIsRefused", terminated, "sslmode=allow", inTLS, "f"},
		{"GoesOnToTLSThroughPassthrough", through, "sslmode=allow", inTLS, "t"},
		{"PrefersTLS", through, "sslmode=prefer", inTLS, "t"},
		{"VerifiesTheGatewaysCertificate", terminated, "sslmode=verify-full", "select 6*7", "42"},
		{"VerifiesTheServersOwnCertificateThroughPassthrough", through, "sslmode=verify-full", inTLS, "t"},
		{"CarriesAResultOfTenMegabytes", through, "sslmode=verify-full", "select length(repeat('x', 10000000))", "10000000"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if out, err := psql(tt.host, tt.sql, tt.mode); err != nil || strings.TrimSpace(out) != tt.want {
				t.Errorf("%v: %q, want %q", err, out, tt.want)
			}
		})
	}
	t.Run("IsToldThatThereIsNoGSSAPI", func(t *testing.T) {
		// A client that prefers GSSAPI asks for it first, and goes on with TLS on the
		// same connection when the answer is no.
		out, err := psql(terminated, "select 6*7", "sslmode=require", "gssencmode=prefer")
		if err != nil || strings.TrimSpace(out) != "42" {
			t.Errorf("%v: %q", err, out)
		}
	})
	t.Run("MaySpeakTLSAtOnce", func(t *testing.T) {
		// libpq 17 with sslnegotiation=direct: it goes on only if its ALPN is confirmed.
		w := w.in(t)
		c := w.handshake(w.dial(), &tls.Config{ServerName: terminated, NextProtos: []string{"postgresql"}})
		if got := c.ConnectionState().NegotiatedProtocol; got != "postgresql" {
			t.Errorf("protocol %q", got)
		}
		mustWrite(t, c, []byte("\x00\x00\x00\x17\x00\x03\x00\x00user\x00postgres\x00\x00"))
		mustRead(t, c, "R\x00\x00\x00\x08\x00\x00\x00\x00") // AuthenticationOk
	})
	t.Run("IsToldToUseTLS", func(t *testing.T) {
		out, err := psql(terminated, "select 1", "sslmode=disable")
		if err == nil || !strings.Contains(out, "FATAL:  TLS is required here: connect with sslmode=require") {
			t.Errorf("%v: %q", err, out)
		}
	})
	t.Run("GetsAnErrorForAnUnknownApp", func(t *testing.T) {
		out, err := psql(name("nobody", "5432"), "select 1", "sslmode=require")
		if err == nil || !strings.Contains(out, "unrecognized name") {
			t.Errorf("%v: %q", err, out)
		}
	})
}
