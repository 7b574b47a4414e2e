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
		mode  Mode
		offer []string
		want  string
		r     Refusal
	}{
		{Terminate, nil, "", None},
		{Terminate, []string{"h2", "http/1.1"}, "http/1.1", None},
		{Terminate, []string{"postgresql"}, "postgresql", None},
		{Terminate, []string{"postgresql", "http/1.1"}, "http/1.1", None},
		{Terminate, []string{"mqtt", "postgresql"}, "postgresql", None},
		{Terminate, []string{"mqtt"}, "mqtt", None},
		{Terminate, []string{"h2", "xmpp-client", "imap"}, "xmpp-client", None},
		{Terminate, []string{"\x0a\x0a", "\xfa\xfa", "\x0a\x1a"}, "\x0a\x1a", None},
		{Terminate, []string{long}, long, None},
		{Terminate, []string{"acme-tls/1", "mqtt"}, "mqtt", None},
		{Terminate, []string{"acme-tls/1"}, "", NoProtocol},
		{Terminate, []string{"h2"}, "", NoProtocol},
		{Terminate, []string{"grpc-exp", "h2"}, "", NoProtocol},
		{Terminate, []string{"\x0a\x0a", "h2"}, "", NoProtocol},
		{TerminateH2, nil, "", None},
		{TerminateH2, []string{"http/1.1", "h2"}, "h2", None},
		{TerminateH2, []string{"http/1.1"}, "", NoProtocol},
		{TerminateH2, []string{"mqtt"}, "", NoProtocol},
		{Passthrough, []string{"http/1.1"}, "", None},
		{Passthrough, nil, "", None},
		{Undecided, nil, "", NoProtocol},
		{Undecided, []string{"http/1.1"}, "", NoProtocol},
	} {
		if got, r := c.mode.ALPN(offer(t, c.offer...)); got != c.want || r != c.r {
			t.Errorf("%v, client offers %q: %q, %v, want %q, %v", c.mode, c.offer, got, r, c.want, c.r)
		}
	}
}

func TestALPNThatManyOfferAllocatesNothing(t *testing.T) {
	for _, tc := range []struct {
		mode Mode
		want string
		list []string
	}{
		{TerminateH2, "h2", []string{"h2"}},
		{Terminate, "http/1.1", []string{"h2", "http/1.1"}},
		{Terminate, "postgresql", []string{"mqtt", "postgresql"}},
	} {
		all := offer(t, tc.list...)
		if n := testing.AllocsPerRun(100, func() {
			if p, _ := tc.mode.ALPN(all); p != tc.want {
				t.Fatal(p)
			}
		}); n != 0 {
			t.Errorf("%q: %v allocations", tc.want, n)
		}
	}
}
