package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"sallyport/admin"
	"sallyport/internal/gwtest"
)

// What the machines and the gateway of a site are.
const (
	testApp    = "deadbeef111111111111111111111111deadbeef"
	gatewayApp = "6a7e111111111111111111111111111111111111"
)

// site is a gateway's world in a directory: certificates made by gateway pki, a
// configuration, to which more is appended, and ports that are free.
type site struct {
	t       *testing.T
	dir     string
	clients string // address for clients
	guests  string // address of the API
	admin   string
	roots   *x509.CertPool
	host    *gwtest.Host   // nil: all runs on this machine
	log     *gwtest.Buffer // what the gateway has printed
}

func newSite(t *testing.T, more ...string) *site {
	t.Helper()
	s := &site{t: t, dir: t.TempDir(), clients: freeTCP(t), guests: freeTCP(t), admin: freeTCP(t)}
	ca := gwtest.NewCA(t)
	s.roots = ca.Pool()
	for file, name := range map[string]string{"web": "*.gw.test", "web2": "*.second.test"} {
		gwtest.WritePEM(t, s.dir, file, ca.Server(t, name))
	}
	port := freeUDP(t)
	s.pki("init")
	s.pki("issue", "--out", s.path("rpc"), "--server", "--name", "127.0.0.1", "--app-id", gatewayApp)
	text := fmt.Sprintf(`
[[domain]]
name = "gw.test"
cert = "web.pem"
key = "web.key"
[proxy]
listen = [%q]
[proxy.timeouts]
drain = "1s"
[wireguard]
mode = "netstack"
listen_port = %d
endpoint = "127.0.0.1:%d"
[rpc]
listen = %q
cert = "rpc.pem"
key = "rpc.key"
client_ca = "pki/ca.pem"
[store]
path = "store"
[admin]
listen = %q
[log]
access = true
`, s.clients, port, port, s.guests, s.admin) + strings.Join(more, "\n")
	if err := os.WriteFile(s.path("gateway.toml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return s
}

// freeTCP is an address that nobody listens on now. Its port is below those that the kernel
// gives to connections: one of them could have it before the gateway does.
func freeTCP(t *testing.T) string {
	t.Helper()
	for range 100 {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 20000+rand.IntN(10000)))
		if err == nil {
			defer l.Close()
			return l.Addr().String()
		}
	}
	t.Fatal("no port is free")
	return ""
}

// freeUDP is a port that nobody uses now.
func freeUDP(t *testing.T) int {
	t.Helper()
	c, err := net.ListenUDP("udp4", &net.UDPAddr{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return c.LocalAddr().(*net.UDPAddr).Port
}

func (s *site) path(name string) string { return filepath.Join(s.dir, name) }

func (s *site) pki(verb string, args ...string) {
	s.t.Helper()
	args = append([]string{"pki", verb, "--dir", s.path("pki")}, args...)
	if code, _, stderr := gwtest.Outcome(s.t, args...); code != 0 {
		s.t.Fatalf("gateway %s: %s", strings.Join(args, " "), stderr)
	}
}

// machine issues a certificate for a machine of the demo's app.
func (s *site) machine(name, instance string) {
	s.t.Helper()
	s.pki("issue", "--out", s.path(name), "--app-id", testApp, "--instance-id", instance)
}

// start runs the gateway program until the test ends; what it prints is shown if
// the test fails.
func (s *site) start(args ...string) *exec.Cmd {
	s.t.Helper()
	cmd := gwtest.Program(s.t, args...)
	out := &gwtest.Buffer{}
	if args[0] == "run" {
		s.log = out
	}
	cmd.Stdout, cmd.Stderr = out, out
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	if err := s.do(cmd.Start); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if s.t.Failed() {
			s.t.Logf("gateway %s:\n%s", args[0], out.String())
		}
	})
	return cmd
}

func (s *site) gateway() *exec.Cmd { return s.start("run", "--config", s.path("gateway.toml")) }

// join joins a machine; more are further arguments.
func (s *site) join(name string, more ...string) *exec.Cmd {
	return s.start(append([]string{
		"join", "--url", "https://" + s.guests, "--cert", s.path(name + ".pem"), "--key", s.path(name + ".key"),
		"--ca", s.path("pki/ca.pem"), "--gateway-app-id", gatewayApp, "--state", s.path(name + "-state"), "--mode", "netstack",
	}, more...)...)
}

// access waits for a line of the gateway's access log with the word, such as
// "server_name=www.gw.test", and returns it.
func (s *site) access(word string) (found string) {
	s.t.Helper()
	s.until("an access line with "+word, func(*admin.Status) bool {
		for line := range strings.Lines(s.log.String()) {
			if strings.Contains(line, "msg=connection ") && strings.Contains(line, " "+word+" ") {
				found = line
			}
		}
		return found != ""
	})
	return found
}

// do runs f on the site's host.
func (s *site) do(f func() error) error {
	if s.host == nil {
		return f()
	}
	return s.host.Do(f)
}

func (s *site) dial(ctx context.Context, addr string) (c net.Conn, err error) {
	err = s.do(func() error {
		var d net.Dialer
		c, err = d.DialContext(ctx, "tcp", addr)
		return err
	})
	return c, err
}

// status asks the gateway what it sees; nil: it does not answer.
func (s *site) status() *admin.Status {
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext:       func(ctx context.Context, _, addr string) (net.Conn, error) { return s.dial(ctx, addr) },
	}}
	resp, err := client.Get("http://" + s.admin + "/status")
	if err != nil {
		return nil
	}
	defer resp.Body.Close()
	var st admin.Status
	if json.NewDecoder(resp.Body).Decode(&st) != nil {
		return nil
	}
	return &st
}

// until waits for a status of the gateway that is as wanted.
func (s *site) until(what string, is func(*admin.Status) bool) *admin.Status {
	s.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	late := time.After(40 * time.Second)
	for {
		if st := s.status(); st != nil && is(st) {
			return st
		}
		select {
		case <-tick.C:
		case <-late:
			s.t.Fatalf("waited in vain: %s; the gateway says %+v", what, s.status())
		}
	}
}

// serving reports whether so many instances can be reached.
func serving(n int) func(*admin.Status) bool {
	return func(st *admin.Status) bool {
		up := 0
		for _, i := range st.Instances {
			if i.Weight > 0 {
				up++
			}
		}
		return up == n
	}
}

// get is what a client gets from a name under the gateway's domain.
func (s *site) get(name string) (string, error) { return s.fetch(name+".gw.test", s.roots) }

// fetch is what a client that trusts roots gets from a name.
func (s *site) fetch(name string, roots *x509.CertPool) (string, error) {
	client := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		TLSClientConfig:   &tls.Config{RootCAs: roots},
		DialContext:       func(ctx context.Context, _, _ string) (net.Conn, error) { return s.dial(ctx, s.clients) },
	}}
	resp, err := client.Get("https://" + name + "/")
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return string(b), err
}

// web is a server on this machine that says its name.
func web(t *testing.T, name string) string {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, name) }))
	t.Cleanup(srv.Close)
	return srv.Listener.Addr().String()
}
