package customdomain

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport/internal/gwtest/dnstest"
	"sallyport/internal/vm"

	"github.com/miekg/dns"
)

// client is some client.
var client = netip.MustParseAddr("192.0.2.7")

// target is the Target that text means.
func target(t *testing.T, text string) Target {
	t.Helper()
	id, _, _ := strings.Cut(text, ":")
	got, err := parseRecord(text)
	if label, ok := vm.ParseLabel(id); err != nil || !ok || got.ID != label {
		t.Fatalf("%q is no record: %v", text, err)
	}
	return got
}

// zone is TXT records by name, in the form of a zone file: each name's text is one
// or more records, separated by '|'. What it does not have does not exist.
type zone map[string]string

// answer makes the answer to q.
func (z zone) answer(q *dns.Msg) *dns.Msg {
	m := new(dns.Msg).SetReply(q)
	name := q.Question[0].Name
	texts, ok := z[strings.TrimSuffix(name, ".")]
	if !ok || q.Question[0].Qtype != dns.TypeTXT {
		m.Rcode = dns.RcodeNameError
		return m
	}
	for text := range strings.SplitSeq(texts, "|") {
		m.Answer = append(m.Answer, rr(name+" 60 IN TXT "+text))
	}
	return m
}

func (z zone) serve(w dns.ResponseWriter, q *dns.Msg) { write(w, z.answer(q)) }

// write sends m, by UDP truncated as the query's EDNS0 demands.
func write(w dns.ResponseWriter, m *dns.Msg) {
	if w.LocalAddr().Network() == "udp" && m.Len() > 1232 {
		m.Truncated, m.Answer = true, nil
	}
	b, err := m.Pack()
	if err != nil {
		panic(err)
	}
	send(w, b)
}

func send(w dns.ResponseWriter, b []byte) {
	if _, err := w.Write(b); err != nil {
		panic(err)
	}
}

func rr(text string) dns.RR {
	r, err := dns.NewRR(text)
	if err != nil {
		panic(err)
	}
	return r
}

// nameserver serves DNS until the test ends.
func nameserver(t *testing.T, handler dns.HandlerFunc) netip.AddrPort {
	t.Helper()
	return dnstest.Serve(t, "127.0.0.1:0", handler)
}

// newResolver makes a Resolver for the length of the test.
func newResolver(t *testing.T, o Options) *Resolver {
	t.Helper()
	r := New(o)
	t.Cleanup(r.Close)
	return r
}

// asking is a Resolver without a network, and the names that it has asked for.
type asking struct {
	*Resolver

	mu    sync.Mutex
	names []string
}

// newAsking makes one whose queries are answered by answer, which may wait for its
// context.
func newAsking(t *testing.T, o Options, answer func(context.Context, netip.AddrPort, *dns.Msg) (*dns.Msg, error)) *asking {
	t.Helper()
	if o.Resolvers == nil {
		o.Resolvers = []netip.AddrPort{netip.MustParseAddrPort("192.0.2.53:53")}
	}
	a := &asking{Resolver: newResolver(t, o)}
	a.exchange = func(ctx context.Context, _ string, server netip.AddrPort, q *dns.Msg) (*dns.Msg, error) {
		a.mu.Lock()
		a.names = append(a.names, q.Question[0].Name)
		a.mu.Unlock()
		return answer(ctx, server, q)
	}
	return a
}

// newAskingZone makes one whose queries are answered from a zone.
func newAskingZone(t *testing.T, o Options, z zone) *asking {
	t.Helper()
	return newAsking(t, o, func(_ context.Context, _ netip.AddrPort, q *dns.Msg) (*dns.Msg, error) { return z.answer(q), nil })
}

// asked are the names asked for since it was last called, sorted.
func (a *asking) asked() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	names := a.names
	a.names = nil
	slices.Sort(names)
	return names
}

// after waits, in a bubble's time.
func after(d time.Duration) { <-time.After(d) }
