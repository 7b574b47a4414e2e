package dnsquery

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport/internal/gwtest/dnstest"

	"github.com/miekg/dns"
)

const record = `name.example. 60 IN TXT "value"`

func ask(t *testing.T, server netip.AddrPort) (*dns.Msg, error) {
	t.Helper()
	return Exchange(t.Context(), server, "NAME.example", dns.TypeTXT, false)
}

func TestTruncatedAnswerIsAskedForByTCP(t *testing.T) {
	s := dnstest.New(t, "127.0.0.1:0")
	for i := range 100 {
		s.Add(fmt.Sprintf("name.example. 60 IN TXT %q", strings.Repeat("x", 100)+fmt.Sprint(i)))
	}
	m, err := ask(t, s.Addr)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(Records[*dns.TXT](m, "name.example.")); n != 100 {
		t.Errorf("got %d records", n)
	}
}

func TestLostDatagramIsAskedForByTCP(t *testing.T) {
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &dns.Server{Listener: tcp, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) { w.WriteMsg(answer(q, "value")) })} //nolint:errcheck // the test sees it
	var running sync.WaitGroup
	running.Go(func() { s.ActivateAndServe() }) //nolint:errcheck // it ends with the listener
	t.Cleanup(running.Wait)
	t.Cleanup(func() { tcp.Close() })
	if _, err := ask(t, netip.MustParseAddrPort(tcp.Addr().String())); err != nil {
		t.Error(err)
	}
}

func TestLookupAsksTheNextServer(t *testing.T) {
	failing, good := dnstest.New(t, "127.0.0.1:0"), dnstest.New(t, "127.0.0.1:0", record)
	failing.Edit(func(m *dns.Msg) bool { m.Rcode = dns.RcodeServerFailure; return true })
	m, err := Resolver{Servers: []netip.AddrPort{failing.Addr, good.Addr}}.Lookup(t.Context(), "name.example", dns.TypeTXT)
	if err != nil || len(m.Answer) != 1 {
		t.Errorf("got %v, %v", m, err)
	}
}

func TestLookupTakesNoFailureForAbsence(t *testing.T) {
	for _, code := range []int{dns.RcodeServerFailure, dns.RcodeRefused, dns.RcodeNotImplemented, dns.RcodeFormatError} {
		s := dnstest.New(t, "127.0.0.1:0", record)
		s.Edit(func(m *dns.Msg) bool { m.Rcode, m.Answer = code, nil; return true })
		m, err := Resolver{Servers: []netip.AddrPort{s.Addr}}.Lookup(t.Context(), "name.example", dns.TypeTXT)
		if err == nil || !strings.Contains(err.Error(), dns.RcodeToString[code]) {
			t.Errorf("code %s: got %v, %v", dns.RcodeToString[code], m, err)
		}
	}
	if _, err := (Resolver{}).Lookup(t.Context(), "name.example", dns.TypeTXT); err == nil {
		t.Error("no resolver is no error")
	}
}

func TestLookupEndsWithItsContext(t *testing.T) {
	s := dnstest.New(t, "127.0.0.1:0")
	ctx, cancel := context.WithCancel(t.Context())
	s.Edit(func(*dns.Msg) bool { cancel(); return false })
	if _, err := (Resolver{Servers: []netip.AddrPort{s.Addr}}).Lookup(ctx, "name.example", dns.TypeTXT); err == nil {
		t.Error("no error")
	}
	if n := len(s.Asked()); n != 1 {
		t.Errorf("%d questions were asked, want 1", n)
	}
}

func TestAbsenceIsAnAnswer(t *testing.T) {
	s := dnstest.New(t, "127.0.0.1:0", record)
	for name, code := range map[string]int{"other.example": dns.RcodeNameError, "name.example": dns.RcodeSuccess} {
		m, err := Resolver{Servers: []netip.AddrPort{s.Addr}}.Lookup(t.Context(), name, dns.TypeCAA)
		if err != nil || m.Rcode != code || len(m.Answer) != 0 {
			t.Errorf("%s: got %v, %v", name, m, err)
		}
	}
}

func TestAlias(t *testing.T) {
	s := dnstest.New(t, "127.0.0.1:0", "a.example. 60 IN CNAME B.Example.", "b.example. 60 IN TXT x")
	m, err := Exchange(t.Context(), s.Addr, "a.example", dns.TypeTXT, true)
	if err != nil {
		t.Fatal(err)
	}
	if got := Alias(m, "A.example"); got != "b.example." {
		t.Errorf("got %q", got)
	}
	if got := Alias(m, "b.example."); got != "" {
		t.Errorf("got %q", got)
	}
	if got := Records[*dns.TXT](m, "a.example"); got != nil {
		t.Errorf("an alias owns %v", got)
	}
}

func TestSystem(t *testing.T) {
	for _, c := range []struct {
		text string
		want string
	}{
		{"nameserver 192.0.2.1\n", "[192.0.2.1:53]"},
		{"# comment\nsearch a.example\nnameserver 192.0.2.1\nnameserver 2001:db8::1\noptions ndots:5\n", "[192.0.2.1:53 [2001:db8::1]:53]"},
		{"nameserver 192.0.2.1\nnameserver fe80::1%lo\n", "[192.0.2.1:53 [fe80::1%lo]:53]"},
		{"nameserver 1.0.0.1\nnameserver 1.0.0.2\nnameserver 1.0.0.3\nnameserver 1.0.0.4\n", "[1.0.0.1:53 1.0.0.2:53 1.0.0.3:53]"},
		{"nameserver localhost\n", ""},
		{"nameserver 1.0.0.1\nnameserver 1.0.0.2\nnameserver 1.0.0.3\nnameserver localhost\n", ""},
		{"search example.com\n", ""},
	} {
		file := filepath.Join(t.TempDir(), "resolv.conf")
		if err := os.WriteFile(file, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := System(file)
		if c.want == "" {
			if err == nil {
				t.Errorf("%q: no error", c.text)
			}
		} else if got := fmt.Sprint(r.Servers); err != nil || got != c.want {
			t.Errorf("%q: got %s, %v, want %s", c.text, got, err, c.want)
		}
	}
	if _, err := System(filepath.Join(t.TempDir(), "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
}

func TestServerThatSaysNothingTakesBoundedTime(t *testing.T) {
	s := dnstest.New(t, "127.0.0.1:0")
	s.Edit(func(*dns.Msg) bool { return false })
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := Exchange(ctx, s.Addr, "name.example", dns.TypeTXT, false); err == nil {
		t.Error("no error")
	}
}
