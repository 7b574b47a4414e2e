package rfc2136

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/libdns/libdns"
	"github.com/miekg/dns"
)

const secret = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="

func secretFile(t *testing.T, text string, mode os.FileMode) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	return file
}

// fake is a server whose answers are edited, which signs them if it can.
func fake(t *testing.T, secrets map[string]string, edit func(m *dns.Msg) bool) *Provider {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &dns.Server{Listener: l, TsigSecret: secrets, MsgAcceptFunc: func(dns.Header) dns.MsgAcceptAction { return dns.MsgAccept }}
	s.Handler = dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg).SetReply(q)
		if !edit(m) {
			return
		}
		if secrets != nil {
			m.SetTsig("key.", dns.HmacSHA256, 300, time.Now().Unix())
		}
		w.WriteMsg(m) //nolint:errcheck // the test sees it
	})
	var running sync.WaitGroup
	running.Go(func() { s.ActivateAndServe() }) //nolint:errcheck // it ends with the listener
	t.Cleanup(running.Wait)
	t.Cleanup(func() { l.Close() })
	p, err := New(Options{Server: l.Addr().String(), KeyName: "Key", SecretFile: secretFile(t, secret, 0o600)})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestAnswerMustBeSigned(t *testing.T) {
	p := fake(t, nil, func(*dns.Msg) bool { return true })
	mustFail(t, change(t, p, "add", txt("gw", "x")), "not signed")
}

func TestAnswerMustBeSignedWithTheKey(t *testing.T) {
	p := fake(t, map[string]string{"key.": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}, func(*dns.Msg) bool { return true })
	mustFail(t, change(t, p, "add", txt("gw", "x")), "signature")
}

func TestAnswerMustBeToTheUpdate(t *testing.T) {
	for name, edit := range map[string]func(m *dns.Msg) bool{
		"id":     func(m *dns.Msg) bool { m.Id++; return true },
		"opcode": func(m *dns.Msg) bool { m.Opcode = dns.OpcodeQuery; return true },
		"query":  func(m *dns.Msg) bool { m.Response = false; return true },
	} {
		p := fake(t, map[string]string{"key.": secret}, edit)
		if err := change(t, p, "add", txt("gw", "x")); err == nil {
			t.Errorf("another %s is accepted", name)
		}
	}
	p := fake(t, map[string]string{"key.": secret}, func(*dns.Msg) bool { return true })
	if err := change(t, p, "add", txt("gw", "x")); err != nil {
		t.Errorf("the right one is not: %v", err)
	}
}

// What a server refuses by its TSIG comes unsigned where it cannot sign.
func TestRefusedSignatureIsExplained(t *testing.T) {
	for code, want := range map[uint16]string{
		dns.RcodeBadKey:  "does not know the key key. with hmac-sha256.",
		dns.RcodeBadSig:  "another secret for the key key.",
		dns.RcodeBadTime: "clock and the gateway's differ by more than 300 s",
		0:                "not authoritative for the zone",
	} {
		p := fake(t, nil, func(m *dns.Msg) bool {
			m.Rcode = dns.RcodeNotAuth
			if code != 0 {
				m.SetTsig("key.", dns.HmacSHA256, 300, time.Now().Unix()).IsTsig().Error = code
			}
			return true
		})
		mustFail(t, change(t, p, "add", txt("gw", "x")), want)
	}
}

func TestSilentServerTakesBoundedTime(t *testing.T) {
	p := fake(t, nil, func(*dns.Msg) bool { return false })
	p.timeout = 50 * time.Millisecond
	var ne net.Error
	if err := change(t, p, "add", txt("gw", "x")); !errors.As(err, &ne) || !ne.Timeout() {
		t.Errorf("got %v, want a timeout", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	p = fake(t, nil, func(*dns.Msg) bool { cancel(); return false })
	_, err := p.DeleteRecords(ctx, zone, []libdns.Record{txt("gw", "x")})
	mustFail(t, err, "canceled")
}

func TestRecordsThatAreNotWritten(t *testing.T) {
	p := fake(t, map[string]string{"key.": secret}, func(m *dns.Msg) bool {
		t.Errorf("%v was sent", m)
		return true
	})
	for _, r := range []libdns.Record{
		txt("gw", ""), // to libdns this means all of them
		libdns.CAA{Name: "gw", Tag: "issue"},
		libdns.CAA{Name: "gw", Value: ";"},
		libdns.NS{Name: "gw", Target: "ns.example.net."},
		libdns.RR{Name: "gw", Type: "TXT", Data: "x"},
		txt("gw.example.net.", "x"),
		txt(strings.Repeat("a", 64), "x"),
	} {
		for _, action := range []string{"add", "remove"} {
			if err := change(t, p, action, r); err == nil {
				t.Errorf("%s %+v: no error", action, r)
			}
		}
	}
	if _, err := p.AppendRecords(t.Context(), zone, nil); err == nil {
		t.Error("no records are no error")
	}
}

func TestOptionsAreChecked(t *testing.T) {
	good := Options{Server: "ns.example.com", KeyName: "key", SecretFile: secretFile(t, secret+"\n", 0o600)}
	if p, err := New(good); err != nil || p.server != "ns.example.com:53" {
		t.Errorf("got %v, %v", p, err)
	}
	for want, edit := range map[string]func(o *Options){
		"want a server":           func(o *Options) { o.Server = "" },
		"want a server, a key":    func(o *Options) { o.KeyName = "" },
		"key name":                func(o *Options) { o.KeyName = "a..b" },
		"algorithm \"hmac-md5\"":  func(o *Options) { o.Algorithm = "hmac-md5" },
		"no such file":            func(o *Options) { o.SecretFile = "/nonexistent" },
		"mode 0644":               func(o *Options) { o.SecretFile = secretFile(t, secret, 0o644) },
		"16 bytes in base64":      func(o *Options) { o.SecretFile = secretFile(t, "AAAA", 0o600) },
		"base64 and nothing else": func(o *Options) { o.SecretFile = secretFile(t, `key "a" { secret "`+secret+`"; };`, 0o600) },
	} {
		o := good
		edit(&o)
		_, err := New(o)
		mustFail(t, err, want)
	}
}

func TestSecretIsNotPrinted(t *testing.T) {
	p := fake(t, nil, func(*dns.Msg) bool { return false })
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		if text := fmt.Sprintf(format, p); strings.Contains(text, secret[:10]) {
			t.Errorf("%s prints %s", format, text)
		}
	}
}
