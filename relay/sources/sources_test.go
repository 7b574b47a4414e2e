package sources

import (
	"encoding/binary"
	"net/netip"
	"sync/atomic"
	"testing"
)

func TestTableKeepsNothingOfASourceThatHoldsNothing(t *testing.T) {
	table, limit := New(), new(int)
	a := Of(netip.MustParseAddr("192.0.2.1"))
	for _, h := range []Held{{By: a}, {By: a, Of: limit}} {
		for i := range 3 {
			if ok := table.Acquire(h, 2); ok != (i < 2) {
				t.Errorf("number %d of %v: %v", i, h, ok)
			}
		}
	}
	if n := table.Len(); n != 2 {
		t.Errorf("%d counts", n)
	}
	for _, h := range []Held{{By: a}, {By: a}, {By: a, Of: limit}, {By: a, Of: limit}} {
		table.Release(h)
	}
	if n := table.Len(); n != 0 {
		t.Errorf("%d counts are left", n)
	}
}

func TestSourceOfIPv6IsItsNetwork(t *testing.T) {
	a := Of(netip.MustParseAddr("2001:db8:1:2:3::4"))
	if a != Of(netip.MustParseAddr("2001:db8:1:2:ffff::")) || a == Of(netip.MustParseAddr("2001:db8:1:3::")) {
		t.Errorf("source %v", a)
	}
	if Of(netip.MustParseAddr("::ffff:192.0.2.1")) != Of(netip.MustParseAddr("192.0.2.1")) {
		t.Error("a mapped address is another source")
	}
	if Of(netip.MustParseAddr("::1")) == Of(netip.MustParseAddr("0.0.0.0")) {
		t.Error("IPv4 and IPv6 meet")
	}
}

// What a connection pays, from several loops at once.
func BenchmarkSources(b *testing.B) {
	s := New()
	var loop atomic.Uint32
	b.RunParallel(func(pb *testing.PB) {
		var addr [4]byte
		binary.BigEndian.PutUint32(addr[:], loop.Add(1)<<24)
		for pb.Next() {
			binary.BigEndian.PutUint32(addr[:], binary.BigEndian.Uint32(addr[:])+1)
			h := Held{By: Of(netip.AddrFrom4(addr))}
			if !s.Acquire(h, 1) {
				b.Error("refused")
			}
			s.Release(h)
		}
	})
}
