package router

import (
	"crypto/tls"
	"net"
	"strings"
	"testing"

	"sallyport/internal/hello"
)

// offer is the list of protocols of a client's hello.
func offer(t *testing.T, protocols ...string) hello.ALPN {
	t.Helper()
	near, far := net.Pipe()
	go func() { // it ends when nobody answers
		_ = tls.Client(far, &tls.Config{ServerName: "a.test", NextProtos: protocols}).HandshakeContext(t.Context())
	}()
	defer near.Close()
	record := make([]byte, 64<<10)
	n, err := near.Read(record)
	if err != nil {
		t.Fatal(err)
	}
	var p hello.Parser
	if whole, err := p.Parse(record[:n]); !whole || err != nil {
		t.Fatal(err)
	}
	return p.Hello().ALPN
}

func TestALPNFollowsTheMode(t *testing.T) {
	long := strings.Repeat("x", 255)
	for _, c := range []struct {
		mode  hello.Mode
		offer []string
		want  string
		r     Refusal
	}{
		{hello.Terminate, nil, "", None},
		{hello.Terminate, []string{"h2", "http/1.1"}, "http/1.1", None},
		{hello.Terminate, []string{"postgresql"}, "postgresql", None},
		{hello.Terminate, []string{"postgresql", "http/1.1"}, "http/1.1", None},
		{hello.Terminate, []string{"mqtt", "postgresql"}, "postgresql", None},
		{hello.Terminate, []string{"mqtt"}, "mqtt", None},
		{hello.Terminate, []string{"h2", "xmpp-client", "imap"}, "xmpp-client", None},
		{hello.Terminate, []string{"\x0a\x0a", "\xfa\xfa", "\x0a\x1a"}, "\x0a\x1a", None},
		{hello.Terminate, []string{long}, long, None},
		{hello.Terminate, []string{"acme-tls/1", "mqtt"}, "mqtt", None},
		{hello.Terminate, []string{"acme-tls/1"}, "", NoProtocol},
		{hello.Terminate, []string{"h2"}, "", NoProtocol},
		{hello.Terminate, []string{"grpc-exp", "h2"}, "", NoProtocol},
		{hello.Terminate, []string{"\x0a\x0a", "h2"}, "", NoProtocol},
		{hello.TerminateH2, nil, "", None},
		{hello.TerminateH2, []string{"http/1.1", "h2"}, "h2", None},
		{hello.TerminateH2, []string{"http/1.1"}, "", NoProtocol},
		{hello.TerminateH2, []string{"mqtt"}, "", NoProtocol},
		{hello.Passthrough, []string{"http/1.1"}, "", None},
		{hello.Passthrough, nil, "", None},
		{hello.Undecided, nil, "", NoProtocol},
		{hello.Undecided, []string{"http/1.1"}, "", NoProtocol},
	} {
		if got, r := ALPN(c.mode, offer(t, c.offer...)); got != c.want || r != c.r {
			t.Errorf("%v, client offers %q: %q, %v, want %q, %v", c.mode, c.offer, got, r, c.want, c.r)
		}
	}
}

func TestALPNThatManyOfferAllocatesNothing(t *testing.T) {
	for _, tc := range []struct {
		mode hello.Mode
		want string
		list []string
	}{
		{hello.TerminateH2, "h2", []string{"h2"}},
		{hello.Terminate, "http/1.1", []string{"h2", "http/1.1"}},
		{hello.Terminate, "postgresql", []string{"mqtt", "postgresql"}},
	} {
		all := offer(t, tc.list...)
		if n := testing.AllocsPerRun(100, func() {
			if p, _ := ALPN(tc.mode, all); p != tc.want {
				t.Fatal(p)
			}
		}); n != 0 {
			t.Errorf("%q: %v allocations", tc.want, n)
		}
	}
}
