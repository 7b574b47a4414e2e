package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"sallyport/admin"
	"sallyport/internal/gwtest"
	"sallyport/internal/gwtest/pebble"
)

// acmeWorld is an authority, Pebble, and the DNS that it and the gateways ask. Tests
// share it, each with names of its own.
type acmeWorld struct {
	*pebble.Server
	ca      *gwtest.CA // of the authority's HTTPS
	dns     *pebble.Resolver
	tlsPort int // where the authority validates by tls-alpn-01
}

func newACMEWorld(t *testing.T, o pebble.Options) *acmeWorld {
	t.Helper()
	w := &acmeWorld{ca: gwtest.NewCA(t), dns: pebble.NewResolver(t)}
	_, port, _ := net.SplitHostPort(freeTCP(t))
	_, _ = fmt.Sscan(port, &w.tlsPort) // it is a number
	o.CA, o.DNS, o.TLSPort = w.ca, w.dns.Addr.String(), w.tlsPort
	w.Server = pebble.Start(t, o)
	return w
}

// acmeSite is a gateway whose certificates are the authority's.
type acmeSite struct {
	*site
	world  *acmeWorld
	domain string
	dns    string // where its own name server is
}

// newACMESite writes the configuration of a gateway for domain. section is [acme]'s
// beyond who is asked and how the world is reached; more comes behind it.
func (w *acmeWorld) newSite(t *testing.T, domain, section string, more ...string) *acmeSite {
	t.Helper()
	dir, err := os.MkdirTemp("", "acme") //nolint:usetesting // with the test's name in it, a socket's path would have more than 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	s := &acmeSite{
		site:  &site{t: t, dir: dir, clients: freeTCP(t), admin: freeTCP(t), roots: w.Issuers(t)},
		world: w, domain: domain, dns: freeTCP(t),
	}
	w.ca.WriteRoot(t, s.path("roots.pem"))
	s.configure(fmt.Sprintf("[[domain]]\nname = %q\nacme = true\n", domain), section, more...)
	return s
}

// configure writes the configuration.
func (s *acmeSite) configure(domains, section string, more ...string) {
	s.t.Helper()
	directory := fmt.Sprintf("directory = %q\n", s.world.Directory)
	if strings.Contains(section, "\ndirectory = ") {
		directory = ""
	}
	text := domains + "[acme]\n" + directory + fmt.Sprintf("roots = \"roots.pem\"\nresolvers = [%q]\n", s.world.dns.Addr) + section +
		fmt.Sprintf("\n[proxy]\nlisten = [%q]\n[wireguard]\nmode = \"none\"\n[store]\npath = \"s\"\n[admin]\nlisten = %q\n", s.clients, s.admin) +
		strings.Join(more, "\n")
	if err := os.WriteFile(s.path("gateway.toml"), []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// embedded is the section that has the gateway answer for the domain.
func (s *acmeSite) embedded() string {
	return fmt.Sprintf("dns = \"embedded\"\nembedded.listen = [%q]\nembedded.addresses = [\"127.0.0.1\"]\n", s.dns)
}

// newEmbedded is a site that is its own name server, with the delegation in place.
func (w *acmeWorld) newEmbedded(t *testing.T, domain, section string, more ...string) *acmeSite {
	t.Helper()
	s := w.newSite(t, domain, "", more...)
	w.dns.Delegate(domain, s.dns)
	s.configure(fmt.Sprintf("[[domain]]\nname = %q\nacme = true\n", domain), s.embedded()+section, more...)
	return s
}

// certified waits for a certificate of name, unless it has the serial number other.
func (s *acmeSite) certified(name, other string) admin.Certificate {
	s.t.Helper()
	var found admin.Certificate
	s.until("a certificate for "+name, func(st *admin.Status) bool {
		for _, c := range st.Certificates {
			if c.Name == name && !c.NotAfter.IsZero() && c.Serial != other {
				found = c
				return true
			}
		}
		return false
	})
	return found
}

// trouble waits until the status of name says all of words.
func (s *acmeSite) trouble(name string, words ...string) admin.Certificate {
	s.t.Helper()
	var found admin.Certificate
	s.until(fmt.Sprintf("%s: %q", name, words), func(st *admin.Status) bool {
		for _, c := range st.Certificates {
			if c.Name == name && containsAll(c.LastError, words) {
				found = c
				return true
			}
		}
		return false
	})
	return found
}

func containsAll(s string, words []string) bool {
	for _, w := range words {
		if !strings.Contains(s, w) {
			return false
		}
	}
	return true
}

// shown is the certificate that the gateway shows to who asks for name, verified.
func (s *acmeSite) shown(name string, protocols ...string) (*x509.Certificate, error) {
	d := tls.Dialer{Config: &tls.Config{ServerName: name, RootCAs: s.roots, NextProtos: protocols}, NetDialer: &net.Dialer{Timeout: 10 * time.Second}}
	c, err := d.DialContext(s.t.Context(), "tcp", s.clients)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return c.(*tls.Conn).ConnectionState().PeerCertificates[0], nil
}

// end ends a gateway in order and waits for it.
func (s *acmeSite) end(cmd *exec.Cmd) {
	s.t.Helper()
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		s.t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		s.t.Errorf("the gateway ended with %v", err)
	}
}

// command runs another command of the gateway on its configuration.
func (s *acmeSite) run(args ...string) (code int, said string) {
	s.t.Helper()
	code, out, errs := gwtest.Outcome(s.t, append(args, "--config", s.path("gateway.toml"))...)
	return code, out + errs
}

// page is what the admin listener shows.
func (s *acmeSite) page(path string) string {
	s.t.Helper()
	resp, err := http.Get("http://" + s.admin + path)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return string(body)
}
