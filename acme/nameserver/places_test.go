package nameserver

import (
	"encoding/binary"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/miekg/dns"
)

func network(i int) netip.Prefix {
	var a [4]byte
	binary.BigEndian.PutUint32(a[:], uint32(i)<<8)
	return sourceOf(netip.AddrFrom4(a))
}

func TestLongestIdleOfTheNetworkWithTheMostGoes(t *testing.T) {
	c, now := newConnections(8), time.Unix(1_700_000_000, 0) // 4 that were not invited
	c.perSource = [2]int{2, 2}
	comes := func(from int) (n, out *conn) {
		now = now.Add(time.Second)
		n = &conn{source: network(from)}
		return n, c.enter(n, now)
	}
	a, _ := comes(1)
	b1, _ := comes(2)
	b2, _ := comes(2)
	d, _ := comes(3)
	c.answered(b1, now.Add(time.Second/2))
	e, out := comes(4)
	if out != b2 {
		t.Error("want the longest idle one of the network with two to go")
	}
	if _, out = comes(5); out != a {
		t.Error("want the longest idle of all to go where each network has one")
	}
	c.answered(d, now)
	if _, out = comes(6); out != b1 {
		t.Error("want the longest idle of all to go again")
	}
	for _, n := range []*conn{a, b1, b2, d, e} {
		c.leave(n)
		c.leave(n)
	}
	if len(c.open[0]) != 2 || len(c.held[0]) != 2 {
		t.Errorf("%d connections of %d networks are left, want 2", len(c.open[0]), len(c.held[0]))
	}
}

func TestPlacesAreKeptForInvitedNetworks(t *testing.T) {
	c, now := newConnections(8), time.Unix(1_700_000_000, 0)
	for i := range 20 {
		c.enter(&conn{source: network(i)}, now)
	}
	if len(c.open[0]) != 4 || c.patience(&conn{}) != busyTimeout || c.patience(&conn{invited: true}) != idleTimeout {
		t.Errorf("%d have a place", len(c.open[0]))
	}
	c.invite(network(100), now)
	n := &conn{source: network(100)}
	if out := c.enter(n, now.Add(invitedFor-1)); out != nil || !n.invited {
		t.Error("an invited network finds no place of its own")
	}
	late := &conn{source: network(100)}
	if c.enter(late, now.Add(invitedFor)); late.invited {
		t.Errorf("it counts as invited after %v", invitedFor)
	}
}

func TestInvitedNetworksAreBounded(t *testing.T) {
	c, now := newConnections(8), time.Unix(1_700_000_000, 0)
	for i := range 3 * maxInvited {
		c.invite(network(i+1), now)
		c.invite(network(i+1), now)
	}
	if len(c.invited) > maxInvited {
		t.Errorf("%d are remembered, want %d", len(c.invited), maxInvited)
	}
	if _, ok := c.invited[network(3*maxInvited)]; !ok {
		t.Error("the last is forgotten")
	}
}

// Datagrams in a resolver's name use up its limit, and eight networks hold connections as
// fast as they lose them. The resolver asks by UDP, and by TCP where it is invited.
func TestResolverIsAnsweredWhileOthersForgeItsAddressAndHoldThePlaces(t *testing.T) {
	_, at := start(t, Options{Zones: []Zone{base()}, ExcessPerSource: 2000, MaxConnections: 256})
	from := func(ip string) *net.Dialer {
		return &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(ip)}, Timeout: patience}
	}
	hold := func() {
		for i := range 8 {
			for range 32 {
				c, err := from(netip.AddrFrom4([4]byte{127, 50, byte(i), 1}).String()).DialContext(t.Context(), "tcp", at.String())
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { c.Close() })
			}
		}
	}
	hold()
	long := packed(t, func(m *dns.Msg) { m.SetQuestion("gw.example.", dns.TypeCAA).SetEdns0(1232, false) })
	short := packed(t, func(m *dns.Msg) { m.SetQuestion("app.gw.example.", dns.TypeA) })
	answered, cut := 0, 0
	for i := range 14 {
		forger, resolver := dialUDP(t, at), dialUDP(t, at)
		for range 50 {
			exchange(t, forger, long)
		}
		query := [][]byte{long, short}[i%2]
		m := new(dns.Msg)
		if err := m.Unpack(exchange(t, resolver, query)); err != nil {
			t.Fatal(err)
		}
		if m.Truncated {
			cut++
			c, err := from("127.0.0.9").DialContext(t.Context(), "tcp", at.String())
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			c.SetDeadline(time.Now().Add(patience))
			if _, err := c.Write(framed(query)); err != nil {
				continue
			}
			if m, err = (&dns.Conn{Conn: c}).ReadMsg(); err != nil {
				continue
			}
		}
		if len(m.Ns)+len(m.Answer) > 0 {
			answered++
		}
	}
	if answered != 14 || cut != 7 { // an address always comes by UDP
		t.Errorf("%d of 14 lookups are answered, %d by way of TCP; want 14, 7", answered, cut)
	}
	t.Logf("%d of 14 lookups are answered, %d by way of TCP", answered, cut)
}
