package pebble

import (
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"github.com/miekg/dns"
)

// Resolver is a recursive resolver for tests: it asks the server that a zone is
// delegated to, and knows that nothing else exists. A Server and a gateway that share
// one see the same world.
type Resolver struct {
	Addr netip.AddrPort

	mu    sync.Mutex
	zones map[string]Answer
}

// Answer answers a question. nil is that nobody answers for the zone.
type Answer func(q *dns.Msg) *dns.Msg

// NewResolver answers by UDP and TCP until the test ends.
func NewResolver(t testing.TB) *Resolver {
	t.Helper()
	r := &Resolver{zones: map[string]Answer{}}
	var packets net.PacketConn
	var streams net.Listener
	for range 10 { // the port must be free by both
		var err error
		if packets, err = net.ListenPacket("udp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
		if streams, err = net.Listen("tcp", packets.LocalAddr().String()); err == nil {
			break
		}
		_ = packets.Close() // nothing was sent
	}
	if streams == nil {
		t.Fatal("no port is free by UDP and TCP")
	}
	r.Addr = netip.MustParseAddrPort(packets.LocalAddr().String())
	for _, s := range []*dns.Server{{PacketConn: packets, Handler: r}, {Listener: streams, Handler: r}} {
		started, ended := make(chan struct{}), make(chan struct{})
		s.NotifyStartedFunc = func() { close(started) }
		go func() {
			defer close(ended)
			_ = s.ActivateAndServe() // until it is shut down
		}()
		<-started
		t.Cleanup(func() {
			_ = s.Shutdown()
			<-ended
		})
	}
	return r
}

// Delegate lets the server at addr answer for zone and all below it.
func (r *Resolver) Delegate(zone, addr string) {
	r.Handle(zone, func(q *dns.Msg) *dns.Msg {
		c := dns.Client{Net: "tcp"}
		q = q.Copy()
		q.Extra = nil // its EDNS is between the client and this resolver
		a, _, err := c.Exchange(q, addr)
		if err != nil {
			return nil
		}
		return a
	})
}

// Handle has answer called for what is asked of zone and all below it.
func (r *Resolver) Handle(zone string, answer Answer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.zones[dns.CanonicalName(zone)] = answer
}

// ServeDNS implements dns.Handler.
func (r *Resolver) ServeDNS(w dns.ResponseWriter, q *dns.Msg) {
	a := r.find(dns.CanonicalName(q.Question[0].Name))(q)
	if a == nil {
		a = new(dns.Msg).SetRcode(q, dns.RcodeServerFailure)
	}
	a.Id, a.RecursionAvailable = q.Id, true
	_ = w.WriteMsg(a) // to somebody who may have left
}

// find is the answer of the longest zone that holds name.
func (r *Resolver) find(name string) Answer {
	r.mu.Lock()
	defer r.mu.Unlock()
	for at := name; at != "" && at != "."; _, at, _ = strings.Cut(at, ".") {
		if answer, ok := r.zones[at]; ok {
			return answer
		}
	}
	return func(q *dns.Msg) *dns.Msg { return new(dns.Msg).SetRcode(q, dns.RcodeNameError) }
}
