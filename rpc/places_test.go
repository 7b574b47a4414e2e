package rpc

import (
	"net"
	"net/netip"
	"testing"
	"time"
)

// crowd gives connections that have no socket.
type crowd struct {
	*places
	now time.Time
}

func newCrowd(n, perSource int) *crowd {
	return &crowd{newPlaces(n, perSource), time.Unix(1_700_000_000, 0)}
}

// comes enters a connection from an address, a second after the last. It has been idle
// since then, unless busy.
func (c *crowd) comes(from string, busy bool) (came, out *conn) {
	c.now = c.now.Add(time.Second)
	client, server := net.Pipe()
	client.Close()
	came = newConn(addressed{server, net.TCPAddrFromAddrPort(netip.MustParseAddrPort(from))}, &gate{})
	came.idleSince.Store(c.now.UnixNano())
	out = c.enter(came, c.now)
	if busy {
		came.idleSince.Store(0)
	}
	return came, out
}

func TestHolderOfTheMostGivesUpAPlace(t *testing.T) {
	type who struct {
		from string
		busy bool
	}
	for name, tc := range map[string]struct {
		there []who
		comes string
		out   int // of there; len(there) is who comes
	}{
		"the longest idle of all":         {[]who{{"192.0.2.1:1", false}, {"198.51.100.1:1", false}, {"203.0.113.1:1", false}}, "233.252.0.1:1", 0},
		"not who waits for us":            {[]who{{"192.0.2.1:1", true}, {"198.51.100.1:1", false}, {"203.0.113.1:1", false}}, "233.252.0.1:1", 1},
		"the last if all wait for us":     {[]who{{"192.0.2.1:1", true}, {"198.51.100.1:1", true}, {"203.0.113.1:1", true}}, "233.252.0.1:1", 3},
		"of the address with the most":    {[]who{{"192.0.2.1:1", false}, {"198.51.100.1:1", false}, {"198.51.100.1:2", false}}, "233.252.0.1:1", 1},
		"busy or not":                     {[]who{{"192.0.2.1:1", false}, {"198.51.100.1:1", true}, {"198.51.100.1:2", true}}, "233.252.0.1:1", 1},
		"of the network with the most":    {[]who{{"192.0.2.1:1", false}, {"198.51.100.1:1", false}, {"198.51.100.2:1", false}}, "233.252.0.1:1", 1},
		"of the IPv6 site with the most":  {[]who{{"192.0.2.1:1", false}, {"[2001:db8:0:1::1]:1", false}, {"[2001:db8:0:2::1]:1", false}}, "233.252.0.1:1", 1},
		"its own, beyond an address's":    {[]who{{"192.0.2.1:1", false}, {"198.51.100.1:1", false}, {"198.51.100.1:2", false}}, "198.51.100.1:3", 1},
		"its own address, if it has most": {[]who{{"192.0.2.1:1", false}, {"203.0.113.1:1", false}, {"198.51.100.1:2", false}}, "198.51.100.1:3", 2},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCrowd(12, 2) // 3 are for strangers
			var all []*conn
			for _, w := range tc.there {
				came, out := c.comes(w.from, w.busy)
				if all = append(all, came); out != nil {
					t.Fatalf("%v gave its place up before all were taken", out.source)
				}
			}
			came, out := c.comes(tc.comes, false)
			all = append(all, came)
			if out == nil {
				t.Fatal("nobody gave its place up")
			}
			// Those of one address that wait for us are alike.
			alike := out.source == all[tc.out].source && out.idleSince.Load() == 0 && all[tc.out].idleSince.Load() == 0
			if out != all[tc.out] && !alike {
				t.Errorf("the one of %v went", out.RemoteAddr())
			}
		})
	}
}

func TestPlacesAreKeptForKnownGuests(t *testing.T) {
	c := newCrowd(8, 8) // 2 for strangers, 2 for known addresses, 4 for certified guests
	guest, _ := c.comes("192.0.2.1:1", false)
	if out := c.certify(guest, "app", "leaf", c.now); out != nil {
		t.Fatal("there is no place for a certified guest")
	}
	for range 10 {
		c.comes("198.51.100.1:1", false)
	}
	again, out := c.comes("192.0.2.1:2", false)
	if again.class != known || out != nil {
		t.Errorf("a guest that comes again is %v", again.class)
	}
	c.now = c.now.Add(knownFor)
	if late, _ := c.comes("192.0.2.1:3", false); late.class != stranger {
		t.Errorf("after %v its address is %v", knownFor, late.class)
	}
	c.leave(guest)
	c.leave(guest) // again is nothing
	if n := len(c.open[certified]); n != 0 {
		t.Errorf("%d certified are left", n)
	}
}

func TestCertifiedCallsAreNotCutOff(t *testing.T) {
	c := newCrowd(8, 8)
	var all []*conn
	for _, busy := range []bool{true, false, true, true} {
		guest, _ := c.comes("192.0.2.1:1", busy)
		if out := c.certify(guest, "app", guest, c.now); out != nil {
			t.Fatal("a place is missing")
		}
		all = append(all, guest)
	}
	next, _ := c.comes("192.0.2.1:1", false)
	if out := c.certify(next, "app", next, c.now); out != all[1] {
		t.Error("want the one that is idle to go")
	}
	next.idleSince.Store(0)
	last, _ := c.comes("192.0.2.1:1", false)
	if out := c.certify(last, "other app", last, c.now); out != last {
		t.Error("want the last to go where all others are at work")
	}
}

func TestConnectionThatLostItsPlaceGetsNoOther(t *testing.T) {
	c := newCrowd(4, 4) // 1 for strangers
	first, _ := c.comes("192.0.2.1:1", false)
	if _, out := c.comes("192.0.2.1:2", false); out != first {
		t.Fatal("want the first to go")
	}
	if out := c.certify(first, "app", "leaf", c.now); out != first || len(c.open[certified]) != 0 {
		t.Error("it has a place again")
	}
}

func TestKnownAddressesAreBounded(t *testing.T) {
	p := newPlaces(8, 8)
	now := time.Unix(1_700_000_000, 0)
	at := func(i int) netip.Prefix {
		return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 32)
	}
	for i := range maxKnown + 10 {
		p.noteLocked(at(i), now)
	}
	if len(p.seen) != maxKnown {
		t.Errorf("%d are known, want %d", len(p.seen), maxKnown)
	}
	p.noteLocked(at(maxKnown+20), now.Add(knownFor))
	if len(p.seen) != 1 {
		t.Errorf("%d are known after all but one are forgotten", len(p.seen))
	}
}

func TestSourcesAreAddressesInNetworks(t *testing.T) {
	for in, want := range map[string][2]string{
		"192.0.2.1:5":           {"192.0.2.1/32", "192.0.2.0/24"},
		"[::ffff:192.0.2.1]:5":  {"192.0.2.1/32", "192.0.2.0/24"},
		"[2001:db8:1:2:3::4]:5": {"2001:db8:1:2::/64", "2001:db8:1::/48"},
		"[fe80::1%lo]:1":        {"fe80::/64", "fe80::/48"},
	} {
		source, network := sourceOf(net.TCPAddrFromAddrPort(netip.MustParseAddrPort(in)))
		if got := [2]string{source.String(), network.String()}; got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
	if source, _ := sourceOf(&net.UnixAddr{}); source.IsValid() {
		t.Errorf("a Unix socket is %s", source)
	}
}
