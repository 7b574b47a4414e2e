package nameserver

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"
)

func TestExcessIsLimitedByTheSecond(t *testing.T) {
	l := newLimiter(1000)
	client := netip.MustParseAddr("192.0.2.1")
	now := time.Hour
	for _, step := range []struct {
		wait time.Duration
		want int // answers that exceed their queries by 100 bytes
	}{
		{0, 10}, {0, 0}, {99 * time.Millisecond, 0}, {time.Millisecond, 1}, {500 * time.Millisecond, 5}, {time.Hour, 10},
	} {
		now += step.wait
		got := 0
		for range 50 {
			if l.take(client, 100, now) {
				got++
			}
		}
		if got != step.want {
			t.Errorf("after %v: %d, want %d", step.wait, got, step.want)
		}
	}
	if !l.take(client, 0, now) || !l.take(client, -20, now) {
		t.Error("answers without excess are limited")
	}
	if l.take(netip.MustParseAddr("192.0.2.200"), 100, now) {
		t.Error("an address of the same /24 has a limit of its own")
	}
	if !l.take(client, smallExcess, now) {
		t.Error("a small answer is limited")
	}
	if !l.take(netip.MustParseAddr("198.51.100.1"), 100, now) {
		t.Error("another network is limited too")
	}
}

func TestExcessCanBeUnlimited(t *testing.T) {
	l := newLimiter(-1)
	for range 1000 {
		if !l.take(netip.MustParseAddr("192.0.2.1"), 1000, 0) {
			t.Fatal("it is limited")
		}
	}
}

func TestSourceIsASite(t *testing.T) {
	for _, tc := range []struct{ addr, want string }{
		{"192.0.2.77", "192.0.2.0/24"},
		{"::ffff:192.0.2.77", "192.0.2.0/24"},
		{"2001:db8:1:2ff::1", "2001:db8:1:200::/56"},
		{"fe80::1%eth0", "fe80::/56"},
	} {
		if got := sourceOf(netip.MustParseAddr(tc.addr)).String(); got != tc.want {
			t.Errorf("%s: %s, want %s", tc.addr, got, tc.want)
		}
	}
}

// A million forged networks, each with a long answer within a second, are 15 in a
// bucket: they do not take the limit away from those who really ask.
func TestForgedSourcesDoNotUseUpTheLimit(t *testing.T) {
	l := newLimiter(64 << 10)
	for i := range uint32(1_000_000) {
		var a [4]byte
		binary.BigEndian.PutUint32(a[:], i<<8)
		if !l.take(netip.AddrFrom4(a), 100, 0) {
			t.Fatalf("source %d is limited", i)
		}
	}
}
