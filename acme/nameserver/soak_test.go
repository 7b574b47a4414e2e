//go:build soak

package nameserver

import (
	"cmp"
	"encoding/binary"
	"errors"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

const (
	soakRate    = 10_000 // queries a second
	soakClients = 50     // each a /24 of its own, so that the usual limit is on
)

// TestSoakQueriesOfOneCore asks 10,000 queries a second for GATEWAY_SOAK (10s), paced
// by the clock and not by the answers. Every one must be answered in full. Server and
// clients share one processor, so the server has less than a core.
func TestSoakQueriesOfOneCore(t *testing.T) {
	t.Run("usual", func(t *testing.T) {
		soak(t, question("aPP-443s.gw.example.", dns.TypeA), question("b.gw.example.", dns.TypeAAAA), question("gw.example.", dns.TypeCAA),
			question(challengeName+".", dns.TypeTXT), question("x._acme-challenge.www.customer.example.", dns.TypeTXT))
	})
	t.Run("names of many labels", func(t *testing.T) {
		soak(t, question(strings.Repeat("a.", 121)+"gw.example.", dns.TypeMX), question(strings.Repeat("a.", 126), dns.TypeA))
	})
}

// soak asks these queries in turn.
func soak(t *testing.T, queries ...*dns.Msg) {
	t.Helper()
	long, err := time.ParseDuration(cmp.Or(os.Getenv("GATEWAY_SOAK"), "10s"))
	if err != nil {
		t.Fatalf("GATEWAY_SOAK: %v", err)
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	s, at := start(t, Options{Zones: []Zone{base(), delegated()}})
	present(t, s, challengeName, "one", "two")
	var (
		clients []*net.UDPConn
		reading sync.WaitGroup
		answers [soakClients]int
	)
	for i := range soakClients {
		from := &net.UDPAddr{IP: net.IPv4(127, 1, byte(i), 1)}
		c, err := net.DialUDP("udp4", from, net.UDPAddrFromAddrPort(at))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		clients = append(clients, c)
		reading.Go(func() { answers[i] = wholeAnswers(t, c) })
	}
	began := time.Now()
	sent := askAtPace(t, clients, queries, int(long.Seconds()*soakRate))
	took := time.Since(began)
	for _, c := range clients {
		c.SetReadDeadline(time.Now().Add(2 * time.Second)) // for the last ones
	}
	reading.Wait()
	total := 0
	for _, n := range answers {
		total += n
	}
	rate := float64(sent) / took.Seconds()
	t.Logf("%d queries in %v, %.0f a second: %d answers", sent, took.Round(time.Millisecond), rate, total)
	if total != sent || rate < 0.99*soakRate {
		t.Errorf("%d of %d queries are answered in full, at %.0f a second", total, sent, rate)
	}
	counted(t, s.metrics.overflowed, 0)
	counted(t, s.metrics.unsent, 0)
	counted(t, s.metrics.limited, 0)
	if n := testutil.CollectAndCount(s.metrics.queries); n != 12 {
		t.Errorf("%d time series of queries: they grow with what is asked", n)
	}
}

// askAtPace sends n queries, the clients in turn.
func askAtPace(t *testing.T, clients []*net.UDPConn, kinds []*dns.Msg, n int) (sent int) {
	t.Helper()
	var queries [][]byte
	for i, m := range kinds {
		if i > 0 { // one without, as some still are
			m.SetEdns0(1232, true)
		}
		b, err := m.Pack()
		if err != nil {
			t.Fatal(err)
		}
		queries = append(queries, b)
	}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for began := time.Now(); sent < n; <-tick.C {
		due := min(n, int(time.Since(began).Seconds()*soakRate))
		for ; sent < due; sent++ {
			q := queries[sent/len(clients)%len(queries)]
			binary.BigEndian.PutUint16(q, uint16(sent))
			if _, err := clients[sent%len(clients)].Write(q); err != nil {
				t.Error(err)
				return sent
			}
		}
	}
	return sent
}

// wholeAnswers counts what c receives until its deadline, but for what was cut.
func wholeAnswers(t *testing.T, c *net.UDPConn) (n int) {
	b := make([]byte, maxUDP)
	for {
		size, err := c.Read(b)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return n
		}
		if err != nil || size < headerSize || binary.BigEndian.Uint16(b[2:])&(1<<9) != 0 {
			t.Errorf("answer %x: %v", b[:size], err)
			return n
		}
		n++
	}
}
