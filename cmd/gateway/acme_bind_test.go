package main

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"sallyport/internal/gwtest"
)

// startBIND is a BIND that is primary for zone and takes updates with the key in the
// file secret, until the test ends.
func startBIND(t *testing.T, zone, secret string) (addr string) {
	t.Helper()
	program, err := exec.LookPath("named")
	if err != nil {
		t.Skip("needs BIND: apt-get install bind9")
	}
	dir := t.TempDir()
	addr = freeTCP(t)
	_, port, _ := strings.Cut(addr, ":")
	key := make([]byte, 32)
	_, _ = rand.Read(key) // it never fails
	text := base64.StdEncoding.EncodeToString(key)
	for file, content := range map[string]string{
		secret:                     text,
		filepath.Join(dir, "zone"): "$TTL 1\n@ IN SOA ns root 1 60 60 60 1\nns IN A 127.0.0.1\n@ IN NS ns\n",
		filepath.Join(dir, "named.conf"): fmt.Sprintf(`options { directory %q; pid-file none; session-keyfile none;
listen-on-v6 { none; }; listen-on port %s { 127.0.0.1; }; recursion no; notify no; dnssec-validation no; };
controls { };
key "gw." { algorithm hmac-sha256; secret %q; };
zone %q { type primary; file "zone"; update-policy { grant gw. zonesub ANY; }; };
`, dir, port, text, zone),
	} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(program, "-g", "-n", "1", "-c", filepath.Join(dir, "named.conf"))
	var log gwtest.Buffer
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("BIND:\n%s", log.String())
		}
	})
	gwtest.Await(t, "BIND answers", func() bool {
		m, err := dns.Exchange(new(dns.Msg).SetQuestion(zone+".", dns.TypeSOA), addr)
		return err == nil && m.Authoritative
	})
	return addr
}

func testBIND(t *testing.T, w *acmeWorld) {
	dir := w.NewDirectory(t, w.ca, "pebble.test")
	s := w.newSite(t, "gw.bind.test", "")
	at := startBIND(t, "bind.test", s.path("tsig"))
	w.dns.Delegate("bind.test", at)
	section := fmt.Sprintf("\ndirectory = %q\ndns = \"rfc2136\"\npropagation_nameservers = [%q]\n"+
		"rfc2136 = { server = %q, key_name = \"gw.\", secret_file = \"tsig\" }\n", dir.URL, at, at)
	domain := "[[domain]]\nname = \"gw.bind.test\"\nacme = true\n"
	good, err := os.ReadFile(s.path("tsig"))
	if err != nil {
		t.Fatal(err)
	}
	write := func(secret []byte, mode os.FileMode) {
		if err := os.WriteFile(s.path("tsig"), secret, mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(s.path("tsig"), mode); err != nil {
			t.Fatal(err)
		}
	}
	s.configure(domain, section)
	write(good, 0o644)
	if code, said := s.run("check"); code != 1 || !strings.Contains(said, `[acme] dns = "rfc2136"`) || !strings.Contains(said, "chmod 600") {
		t.Errorf("check with a secret that is open to others: %d, %s", code, said)
	}
	write([]byte("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="), 0o600)
	wrong := s.gateway()
	s.trouble("*.gw.bind.test", "another secret for the key gw.")
	s.end(wrong)

	write(good, 0o600)
	if err := os.RemoveAll(s.path("s")); err != nil { // the next try would be in a minute
		t.Fatal(err)
	}
	s.gateway()
	s.certified("*.gw.bind.test", "")
	if _, err := s.shown("health.gw.bind.test"); err != nil {
		t.Error(err)
	}
	if code, said := s.run("acme", "caa"); code != 0 || !strings.Contains(said, "open to every authority") {
		t.Errorf("caa: %d, %s", code, said)
	}
	if code, said := s.run("acme", "caa", "--set"); code != 0 || !strings.Contains(said, "set at gw.bind.test in zone bind.test.") || !strings.Contains(said, "pinned to this account") {
		t.Errorf("caa --set: %d, %s", code, said)
	}
}
