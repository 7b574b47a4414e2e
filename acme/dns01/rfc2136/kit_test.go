package rfc2136

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// bind is a BIND of the test's own, primary for example.com.
type bind struct {
	addr netip.AddrPort
	dir  string
	keys map[string]string // name to secret file
}

const zoneFile = `$TTL 60
@ IN SOA ns root 1 60 60 60 60
@ IN NS ns.example.com.
ns IN A 127.0.0.1
alias IN CNAME ns
_acme-challenge.delegated IN CNAME delegated.challenges
full IN TXT "somebody else's"
`

// newBind starts BIND on a free port, and ends it with the test. Its zone may be
// updated with the keys sha256. and sha512., at challenge names also with limited.
func newBind(t *testing.T) *bind {
	t.Helper()
	program, err := exec.LookPath("named")
	if err != nil {
		t.Skip("needs BIND: apt-get install bind9")
	}
	b := &bind{dir: t.TempDir(), keys: map[string]string{}}
	config := fmt.Sprintf(`options { directory %q; pid-file none; session-keyfile none; listen-on-v6 { none; };
	listen-on port %%d { 127.0.0.1; }; recursion no; notify no; allow-transfer { none; }; dnssec-validation no; };
controls { };
zone "example.com" { type primary; file "zone"; update-policy {
	grant sha256. zonesub ANY; grant sha512. zonesub ANY; grant limited. name _acme-challenge.example.com. TXT; }; };
`, b.dir)
	for name, algorithm := range map[string]string{"sha256.": "hmac-sha256", "sha512.": "hmac-sha512", "limited.": "hmac-sha256"} {
		secret := make([]byte, 32)
		rand.Read(secret)
		text := base64.StdEncoding.EncodeToString(secret)
		b.keys[name] = b.file(t, name+"secret", text+"\n")
		config += fmt.Sprintf("key %q { algorithm %s; secret %q; };\n", name, algorithm, text)
	}
	b.file(t, "zone", zoneFile)
	for range 5 {
		port := freePort(t)
		b.addr = netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), port)
		file := b.file(t, "named.conf", fmt.Sprintf(config, port))
		if b.start(t, program, file) {
			return b
		}
	}
	t.Fatal("BIND does not start")
	return nil
}

func (b *bind) file(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(b.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// start reports false if BIND ended before it answered.
func (b *bind) start(t *testing.T, program, config string) bool {
	t.Helper()
	log, err := os.Create(filepath.Join(b.dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command(program, "-g", "-n", "1", "-c", config)
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { cmd.Wait(); close(ended) }() //nolint:errcheck // it is killed
	t.Cleanup(func() { cmd.Process.Kill(); <-ended })
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	giveUp := time.After(20 * time.Second)
	for {
		m, err := dns.Exchange(new(dns.Msg).SetQuestion("example.com.", dns.TypeSOA), b.addr.String())
		if err == nil && m.Authoritative {
			return true
		}
		select {
		case <-tick.C:
		case <-ended:
			text, _ := os.ReadFile(log.Name())
			t.Logf("BIND ended:\n%s", text)
			return false
		case <-giveUp:
			text, _ := os.ReadFile(log.Name())
			t.Fatalf("BIND does not answer:\n%s", text)
		}
	}
}

// freePort is a port that is free by TCP and UDP at present.
func freePort(t *testing.T) uint16 {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return netip.MustParseAddrPort(l.Addr().String()).Port()
}

// provider makes one with the named key.
func (b *bind) provider(t *testing.T, key, algorithm string) *Provider {
	t.Helper()
	p, err := New(Options{Server: b.addr.String(), KeyName: key, SecretFile: b.keys[key], Algorithm: algorithm})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// texts are the values of the TXT records at name, as strings of their strings.
func (b *bind) texts(t *testing.T, name string) (list []string) {
	t.Helper()
	m, _, err := (&dns.Client{Net: "tcp"}).Exchange(new(dns.Msg).SetQuestion(name, dns.TypeTXT), b.addr.String())
	if err != nil {
		t.Fatal(err)
	}
	for _, rr := range m.Answer {
		list = append(list, rr.(*dns.TXT).Txt...)
	}
	return list
}
