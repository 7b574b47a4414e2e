package main

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport/admin"
	"sallyport/config"
	"sallyport/gateway"
	"sallyport/internal/gwtest"
	"sallyport/internal/gwtest/tdxpki"
	"sallyport/internal/vm"
	"sallyport/ratls"
	"sallyport/rpc"
)

// attestedSite is a site whose gateway, in this process, judges evidence by a world of its
// own: the world's root stands for Intel's, its PCCS is a server on loopback.
type attestedSite struct {
	*site
	world  *tdxpki.PKI
	pccs   *tdxpki.PCCS
	server *httptest.Server // of pccs
	ca     *ratls.Authority // client_ca
	log    gwtest.Buffer
	base   string // the configuration but for [attestation]
	stop   func() // ends the gateway that runs
}

// newAttestedSite makes a site; section is its [attestation].
func newAttestedSite(t *testing.T, section ...string) *attestedSite {
	t.Helper()
	gwtest.EndAtOnce(t)
	s := &attestedSite{site: newSite(t), world: tdxpki.New(1, time.Now()), stop: func() {}}
	s.pccs = s.world.PCCS(tdxpki.Dialect{})
	s.server = httptest.NewServer(s.pccs)
	t.Cleanup(s.server.Close)
	s.write("intel.pem", string(tdxpki.PEM(s.world.Root)))
	text, err := os.ReadFile(s.path("gateway.toml"))
	if err != nil {
		t.Fatal(err)
	}
	s.base = string(text)
	s.attest(section...)
	root, key := s.read("pki/ca.pem"), s.read("pki/ca.key")
	if s.ca, err = ratls.ParseAuthority(root, key); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.stop()
		if t.Failed() {
			t.Logf("the gateway said:\n%s", s.log.String())
		}
	})
	return s
}

func (s *attestedSite) read(name string) []byte {
	s.t.Helper()
	b, err := os.ReadFile(s.path(name))
	if err != nil {
		s.t.Fatal(err)
	}
	return b
}

// write makes a file that was written some time ago: a gateway waits until one is whole.
func (s *attestedSite) write(name, text string) {
	s.t.Helper()
	if err := os.WriteFile(s.path(name), []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
	whole(s.t, s.path(name))
}

// whole makes a file one that was written some time ago: an allow file that is new may not
// be whole, and is waited for.
func whole(t *testing.T, path string) {
	t.Helper()
	past := time.Now().Add(-time.Minute)
	if err := os.Chtimes(path, past, past); err != nil {
		t.Fatal(err)
	}
}

// set adds a line to a section of the configuration.
func (s *attestedSite) set(section, line string) {
	s.base = strings.Replace(s.base, section+"\n", section+"\n"+line+"\n", 1)
	s.attest()
}

// attest writes the configuration with this section [attestation].
func (s *attestedSite) attest(section ...string) {
	if !strings.Contains(strings.Join(section, "\n"), "collateral_file") {
		section = append(section, fmt.Sprintf("pccs = [%q]", s.server.URL))
	}
	s.write("gateway.toml", s.base+"[attestation]\ninsecure_root_ca = \"intel.pem\"\n"+strings.Join(section, "\n")+"\n")
}

// run starts the gateway. It may be run again after stop.
func (s *attestedSite) run() *gateway.Gateway {
	s.t.Helper()
	cfg, err := config.Load(s.path("gateway.toml"))
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	g, err := gateway.New(ctx, cfg, slog.New(slog.NewTextHandler(&s.log, nil)))
	if err != nil {
		cancel()
		s.t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- g.Run(ctx) }()
	s.stop = sync.OnceFunc(func() {
		cancel()
		g.Abort()
		if err := <-done; err != nil {
			s.t.Error(err)
		}
	})
	s.until("the gateway is up", func(*admin.Status) bool { return true })
	return g
}

// reload is what SIGHUP does.
func (s *attestedSite) reload(g *gateway.Gateway) { g.ReloadConfig(s.path("gateway.toml")) }

// testGuest is a machine of the demo's app.
func testGuest(instance string) tdxpki.Guest {
	return tdxpki.Guest{AppID: [20]byte(unhexed(testApp)), InstanceID: [20]byte(unhexed(instance)), ComposeHash: sha256.Sum256([]byte(testCompose))}
}

// testCompose is what testGuest's machines run.
const testCompose = `{"name":"demo"}`

// composeAgent tells testCompose as the agent of a machine does, and returns its address.
func composeAgent(t *testing.T) string {
	t.Helper()
	tcb, err := json.Marshal(map[string]string{"app_compose": testCompose})
	if err != nil {
		t.Fatal(err)
	}
	agent := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]string{"tcb_info": string(tcb)}) // the gateway may have left
	}))
	t.Cleanup(agent.Close)
	return strings.TrimPrefix(agent.URL, "http://")
}

func unhexed(text string) []byte {
	b, err := hex.DecodeString(text)
	if err != nil {
		panic(err)
	}
	return b
}

// certificate is issued by the site's authority, with the evidence of m in it; info is the
// authority's word, or nil.
func (s *attestedSite) certificate(m *tdxpki.Machine, info *ratls.AppInfo) tls.Certificate {
	s.t.Helper()
	r := ratls.Request{AppID: ratls.AppID(m.AppInfo.AppID), AppInfo: info, Client: true, Key: m.Key, ExtraExtensions: m.Evidence()}
	cert, err := s.ca.Issue(r)
	if err != nil {
		s.t.Fatal(err)
	}
	return cert
}

// anyGateway checks the certificate of a gateway as a guest that takes any does.
func anyGateway(leaf *x509.Certificate) error { return ratls.CheckApp(leaf, ratls.AppID{}) }

// register registers a machine as its guest would.
func (s *attestedSite) register(cert tls.Certificate) error {
	roots := x509.NewCertPool()
	roots.AddCert(s.ca.Root())
	key := vm.WGKey(sha256.Sum256(cert.Leaf.RawSubjectPublicKeyInfo)) // one of each machine's own
	client := rpc.Client{URL: "https://" + s.guests, Certificate: cert, Roots: roots, CheckServer: anyGateway}
	_, err := client.Register(s.t.Context(), rpc.Registration{Key: key, Policy: vm.OpenPolicy()})
	return err
}

// joinQuoted joins a machine with evidence, whose agent tells testCompose, and returns its program.
func (s *attestedSite) joinQuoted(name string, m *tdxpki.Machine, more ...string) *exec.Cmd {
	s.t.Helper()
	chain, key, err := ratls.EncodePEM(s.certificate(m, nil))
	if err != nil {
		s.t.Fatal(err)
	}
	s.write(name+".pem", string(chain))
	s.write(name+".key", string(key))
	return s.join(name, append(more, "--forward", "8090="+composeAgent(s.t))...)
}

// said waits until the gateway has logged so often that what it said contains all of words.
func (s *attestedSite) said(times int, words ...string) {
	s.t.Helper()
	s.until(fmt.Sprintf("%d lines with %q", times, words), func(*admin.Status) bool { return s.lines(words...) >= times })
}

// lines counts the lines that contain all of words.
func (s *attestedSite) lines(words ...string) (n int) {
next:
	for line := range strings.Lines(s.log.String()) {
		for _, w := range words {
			if !strings.Contains(line, w) {
				continue next
			}
		}
		n++
	}
	return n
}

// refused reports whether the only instance is, for a reason with these words.
func refused(reason string) func(*admin.Status) bool {
	return func(st *admin.Status) bool {
		return len(st.Instances) == 1 && st.Instances[0].Health == "refused" && st.Instances[0].Weight == 0 &&
			strings.Contains(st.Instances[0].Reason, reason)
	}
}
