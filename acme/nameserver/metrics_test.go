package nameserver

import (
	"context"
	"net/netip"
	"strings"
	"testing"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestQueriesAreCountedByTransportAndCode(t *testing.T) {
	s := both(t)
	for _, wire := range [][]byte{
		packed(t, func(*dns.Msg) {}),
		packed(t, func(m *dns.Msg) { m.SetQuestion("x.", dns.TypeA) }),
		packed(t, func(m *dns.Msg) { m.SetQuestion("x._acme-challenge.www.customer.example.", dns.TypeA) }),
		packed(t, func(m *dns.Msg) { m.Opcode = dns.OpcodeNotify }),
		packed(t, func(m *dns.Msg) { m.Question = nil }),
		packed(t, edns(func(o *dns.OPT) { o.SetVersion(1) })),
	} {
		askWire(t, s, udp, wire)
	}
	askWire(t, s, tcp, packed(t, func(*dns.Msg) {}))
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(s.Collectors()...)
	want := `# HELP gateway_nameserver_queries_total DNS queries that were answered, by transport and response code.
# TYPE gateway_nameserver_queries_total counter
`
	for _, line := range []string{
		`tcp badvers 0`, `tcp formerr 0`, `tcp noerror 1`, `tcp notimp 0`, `tcp nxdomain 0`, `tcp refused 0`,
		`udp badvers 1`, `udp formerr 1`, `udp noerror 1`, `udp notimp 1`, `udp nxdomain 1`, `udp refused 1`,
	} {
		f := strings.Fields(line)
		want += `gateway_nameserver_queries_total{rcode="` + f[1] + `",transport="` + f[0] + `"} ` + f[2] + "\n"
	}
	if err := testutil.GatherAndCompare(r, strings.NewReader(want), "gateway_nameserver_queries_total"); err != nil {
		t.Error(err)
	}
	problems, err := testutil.GatherAndLint(r)
	if err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
}

// The kernel reports what it drops because nobody read in time.
func TestLostQueriesAreCounted(t *testing.T) {
	s := newTestServer(t, Options{Zones: []Zone{base()}, Listen: []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:0")}})
	bound, err := s.Listen(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.sockets[0].packets.SetReadBuffer(1); err != nil { // the least there is
		t.Fatal(err)
	}
	c := dialUDP(t, bound[0])
	const n = 100
	first := packed(t, func(m *dns.Msg) { m.Id = 1 })
	last := packed(t, func(m *dns.Msg) { m.Id = 2 })
	for range n {
		if _, err := c.Write(first); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx) }()
	answered := 0
	for b := exchange(t, c, first); b[1] == 1; b = exchange(t, c, last) {
		answered++
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if lost := testutil.ToFloat64(s.metrics.overflowed); lost < 1 || lost > n {
		t.Errorf("%v of %d are reported as lost, %d were answered", lost, n, answered)
	}
}
