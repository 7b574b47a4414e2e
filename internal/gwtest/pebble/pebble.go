// Package pebble runs Pebble, Let's Encrypt's test authority, for tests of ACME clients.
// Each server is a process with its own configuration, ports and keys, and dies with the
// test. The go command builds it from the module in program.
//
// By default Pebble makes a new issuing root at each start, forgets everything when it
// ends, rejects nonces and takes a random profile. Start turns the last two off.
package pebble

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"sallyport/internal/gwtest"
)

// Options of a Server. The zero value works.
type Options struct {
	DNS        string            // address of the resolver that it validates with; "" is the system's
	TLSPort    int               // where tls-alpn-01 is validated; 0: nowhere
	EAB        map[string]string // key id to MAC key: an external account binding is required
	Validity   time.Duration     // of certificates; 0 is 90 days
	Profiles   []string          // that may be asked for; "default" is always there
	RetryAfter int               // seconds that it asks pollers to wait
	Env        []string          // such as PEBBLE_WFE_NONCEREJECT=50, PEBBLE_VA_SLEEPTIME=3
	// Listen is where the directory was, for a server that comes back; "" is a free
	// port.
	Listen string
	// CA issues the certificate of its HTTPS. Default: a new one.
	CA *gwtest.CA
}

// Server is a Pebble that runs.
type Server struct {
	Directory string         // URL
	Listen    string         // host:port of it
	Roots     *x509.CertPool // of its HTTPS

	management string
	client     *http.Client
	cmd        *exec.Cmd
	stop       func()
	out        log
}

// Start runs a Pebble until the test ends, and returns when it answers.
func Start(t testing.TB, o Options) *Server {
	t.Helper()
	if o.CA == nil {
		o.CA = gwtest.NewCA(t)
	}
	if o.Listen == "" {
		o.Listen = freePort(t)
	}
	_, port, err := net.SplitHostPort(o.Listen)
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{
		Directory:  "https://localhost:" + port + "/dir",
		Listen:     o.Listen,
		Roots:      o.CA.Pool(),
		management: freePort(t),
	}
	s.client = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: s.Roots, ServerName: "localhost"}}, Timeout: 5 * time.Second}
	t.Cleanup(s.client.CloseIdleConnections)
	dir := t.TempDir()
	config := filepath.Join(dir, "pebble.json")
	if err := os.WriteFile(config, s.config(t, dir, o), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"-strict", "-config", config}
	if o.DNS != "" {
		args = append(args, "-dnsserver", o.DNS)
	}
	s.cmd = exec.Command(program(t), args...)
	s.cmd.Env = append(append(os.Environ(), "PEBBLE_VA_NOSLEEP=1", "PEBBLE_WFE_NONCEREJECT=0", "PEBBLE_AUTHZREUSE=0"), o.Env...)
	s.cmd.Stdout, s.cmd.Stderr = &s.out, &s.out
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	s.run(t)
	return s
}

func (s *Server) run(t testing.TB) {
	t.Helper()
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = s.cmd.Wait() // it is killed
		close(ended)
	}()
	s.stop = sync.OnceFunc(func() {
		_ = s.cmd.Process.Kill() // it may have ended
		<-ended
	})
	t.Cleanup(func() {
		s.stop()
		if t.Failed() {
			t.Logf("--- pebble:\n%s", s.out.tail())
		}
	})
	deadline := time.After(20 * time.Second)
	for {
		if _, err := s.get("https://" + s.Listen + "/dir"); err == nil {
			if _, err = s.get("https://" + s.management + "/roots/0"); err == nil {
				return
			}
		}
		select {
		case <-ended:
			t.Fatalf("pebble ended:\n%s", s.out.tail())
		case <-deadline:
			t.Fatalf("pebble does not answer:\n%s", s.out.tail())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Stop kills the server. Its directory refuses connections then.
func (s *Server) Stop() { s.stop() }

// Count returns how often text appears in the server's log.
func (s *Server) Count(text string) int { return s.out.count(text) }

// Issuers trusts what this server has issued.
func (s *Server) Issuers(t testing.TB) *x509.CertPool {
	t.Helper()
	data, err := s.get("https://" + s.management + "/roots/0")
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(data) {
		t.Fatal("pebble's root is not a certificate")
	}
	return pool
}

// WriteIssuers writes the certificate of this server's issuing root to a PEM file.
func (s *Server) WriteIssuers(t testing.TB, file string) {
	t.Helper()
	data, err := s.get("https://" + s.management + "/roots/0")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// SuggestRenewal makes the server suggest (ARI, RFC 9773) that cert be renewed within
// this window.
func (s *Server) SuggestRenewal(t testing.TB, cert *x509.Certificate, start, end time.Time) {
	t.Helper()
	window := fmt.Sprintf(`{"suggestedWindow":{"start":%q,"end":%q}}`, start.UTC().Format(time.RFC3339), end.UTC().Format(time.RFC3339))
	body, err := json.Marshal(map[string]string{
		"certificate": string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})),
		"ariResponse": window,
	})
	if err != nil {
		t.Fatal(err)
	}
	answer, err := s.client.Post("https://"+s.management+"/set-renewal-info/", "application/json", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		t.Fatalf("set renewal info: %s", answer.Status)
	}
}

func (s *Server) get(address string) ([]byte, error) {
	request, err := http.NewRequestWithContext(context.Background(), http.MethodGet, address, http.NoBody)
	if err != nil {
		return nil, err
	}
	answer, err := s.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	return io.ReadAll(answer.Body)
}

// config is Pebble's configuration file.
func (s *Server) config(t testing.TB, dir string, o Options) []byte {
	t.Helper()
	certFile, keyFile := gwtest.WritePEM(t, dir, "pebble", o.CA.Server(t, "localhost"))
	if o.Validity == 0 {
		o.Validity = 90 * 24 * time.Hour
	}
	profiles := map[string]any{}
	for _, name := range append(o.Profiles, "default") {
		profiles[name] = map[string]any{"description": name, "validityPeriod": int(o.Validity.Seconds())}
	}
	data, err := json.Marshal(map[string]any{"pebble": map[string]any{
		"listenAddress":                  s.Listen,
		"managementListenAddress":        s.management,
		"certificate":                    certFile,
		"privateKey":                     keyFile,
		"httpPort":                       1,
		"tlsPort":                        max(o.TLSPort, 1),
		"keyAlgorithm":                   "ecdsa",
		"retryAfter":                     map[string]int{"authz": o.RetryAfter, "order": o.RetryAfter},
		"externalAccountBindingRequired": len(o.EAB) > 0,
		"externalAccountMACKeys":         o.EAB,
		"domainBlocklist":                []string{"blocked.test"},
		"profiles":                       profiles,
	}})
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// program builds Pebble, if it is not in the cache of the go command, and returns
// the file.
func program(t testing.TB) string {
	t.Helper()
	_, here, _, ok := runtime.Caller(0)
	if !ok {
		t.Fatal("where is the module of pebble?")
	}
	cmd := exec.Command("go", "-C", filepath.Join(filepath.Dir(here), "program"), "tool", "-n", "pebble")
	cmd.Env = append(os.Environ(), "GOFLAGS=-mod=readonly", "GOWORK=off")
	var problems bytes.Buffer
	cmd.Stderr = &problems
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("build pebble: %v\n%s", err, problems.String())
	}
	return strings.TrimSpace(string(out))
}

func freePort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// log is what the process has written.
type log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *log) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return bytes.Count(l.text.Bytes(), []byte(text))
}

func (l *log) tail() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.text.Bytes()
	return string(b[max(0, len(b)-6000):])
}
