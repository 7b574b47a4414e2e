package pool

import (
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"
)

func pfx(s string) netip.Prefix { return netip.MustParsePrefix(s) }

func TestPoolHandsOutTheRightAddresses(t *testing.T) {
	for name, c := range map[string]struct {
		network, pool string
		reserved      []netip.Prefix
		static        []netip.Addr
		first, last   string
		count         int
	}{
		"whole network":     {"10.8.0.1/24", "10.8.0.0/24", nil, nil, "10.8.0.2", "10.8.0.254", 253},
		"own not first":     {"10.8.0.9/29", "10.8.0.8/29", nil, nil, "10.8.0.10", "10.8.0.14", 5},
		"own in the middle": {"10.8.0.5/29", "10.8.0.0/29", nil, nil, "10.8.0.2", "10.8.0.6", 4},
		"part of a network": {"10.8.0.1/16", "10.8.64.0/18", nil, nil, "10.8.64.0", "10.8.127.255", 1 << 14},
		"end of a network":  {"10.8.0.1/16", "10.8.255.252/30", nil, nil, "10.8.255.252", "10.8.255.254", 3},
		"one address":       {"10.8.0.1/16", "10.8.3.4/32", nil, nil, "10.8.3.4", "10.8.3.4", 1},
		"reserved":          {"10.8.0.1/16", "10.8.0.0/24", []netip.Prefix{pfx("10.8.0.0/25"), pfx("10.8.0.192/26")}, nil, "10.8.0.128", "10.8.0.191", 64},
		"all reserved":      {"10.8.0.1/16", "10.8.0.0/24", []netip.Prefix{pfx("10.0.0.0/8")}, nil, "", "", 0},
		"static":            {"10.8.0.1/29", "10.8.0.0/29", nil, []netip.Addr{netip.MustParseAddr("10.8.0.2"), netip.MustParseAddr("10.8.0.4")}, "10.8.0.3", "10.8.0.6", 3},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := New(pfx(c.network), pfx(c.pool), c.reserved, c.static)
			if err != nil {
				t.Fatal(err)
			}
			if size := int(p.size - p.blocked); size != c.count {
				t.Errorf("says %d addresses, want %d", size, c.count)
			}
			var all []netip.Addr
			for a, ok := p.Take(time.Now()); ok; a, ok = p.Take(time.Now()) {
				if n := len(all); n > 0 && !all[n-1].Less(a) {
					t.Fatalf("%s after %s", a, all[n-1])
				}
				all = append(all, a)
			}
			if len(all) != c.count || int(p.used) != c.count {
				t.Fatalf("handed out %d, want %d", len(all), c.count)
			}
			if c.count > 0 && (all[0].String() != c.first || all[len(all)-1].String() != c.last) {
				t.Errorf("from %s to %s, want %s to %s", all[0], all[len(all)-1], c.first, c.last)
			}
		})
	}
}

func TestBadPoolIsRefused(t *testing.T) {
	for name, c := range map[string][2]string{
		"outside of the network": {"10.8.0.1/16", "10.9.0.0/24"},
		"larger":                 {"10.8.0.1/16", "10.0.0.0/8"},
		"IPv6":                   {"fd00::1/64", "fd00::/64"},
		"huge":                   {"10.0.0.1/4", "10.0.0.0/4"},
	} {
		if _, err := New(pfx(c[0]), pfx(c[1]), nil, nil); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestFreedAddressRests(t *testing.T) {
	p, err := New(pfx("10.8.0.1/29"), pfx("10.8.0.0/29"), nil, nil) // .2 to .6
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	a, _ := p.Take(now)
	p.Rest(a, now.Add(time.Minute))
	p.Rest(a, now.Add(time.Hour)) // it rests already
	if b, _ := p.Take(now); b == a {
		t.Error("handed out at once")
	}
	p.Free(a) // must not end its rest
	if b, _ := p.Take(now.Add(59 * time.Second)); b == a {
		t.Error("handed out too early")
	}
	if b, _ := p.Take(now.Add(time.Minute)); b != a {
		t.Errorf("handed out %s, want %s, the lowest", b, a)
	}
}

// The pool against a plain map, over random changes.
func TestPoolAgreesWithAMap(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	p, err := New(pfx("10.8.0.1/16"), pfx("10.8.0.0/24"), []netip.Prefix{pfx("10.8.0.64/26")}, nil)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	const held = "held"
	state := make(map[netip.Addr]any) // held, or until when it rests
	for range 20_000 {
		now = now.Add(time.Duration(random.IntN(3)) * time.Second)
		p.wake(now)
		some := address(p.base + uint32(random.IntN(300))) // now and then beyond the pool
		inPool := p.Usable(some) && pfx("10.8.0.0/24").Contains(some)
		switch random.IntN(6) {
		case 0, 1, 2:
			a, ok := p.Take(now)
			until, resting := state[a].(time.Time)
			if ok && (state[a] == held || (resting && until.After(now)) || !p.Usable(a)) {
				t.Fatalf("%s handed out, which is %v", a, state[a])
			}
			if ok {
				state[a] = held
			}
		case 3:
			if p.Free(some); state[some] == held {
				delete(state, some)
			}
		case 4:
			until := now.Add(time.Duration(random.IntN(100)) * time.Second)
			p.Rest(some, until)
			if old, resting := state[some].(time.Time); inPool && (!resting || !old.After(now)) {
				state[some] = until
			}
		case 5:
			if p.Claim(some); inPool {
				state[some] = held
			}
		}
		p.wake(now)
		used, resting := 0, 0
		for a, s := range state {
			until, rests := s.(time.Time)
			switch {
			case s == held:
				used++
			case rests && until.After(now):
				resting++
			default:
				delete(state, a)
			}
		}
		if int(p.used) != used || len(p.resting) != resting || len(p.asleep) != resting {
			t.Fatalf("%d used, %d and %d resting, want %d and %d", p.used, len(p.resting), len(p.asleep), used, resting)
		}
	}
}

func BenchmarkPoolNearlyFull(b *testing.B) {
	p, err := New(pfx("10.8.0.1/16"), pfx("10.8.0.0/16"), nil, nil)
	if err != nil {
		b.Fatal(err)
	}
	now := time.Now()
	var last netip.Addr
	for a, ok := p.Take(now); ok; a, ok = p.Take(now) {
		last = a
	}
	for b.Loop() {
		p.Free(last)
		if _, ok := p.Take(now); !ok {
			b.Fatal("none")
		}
	}
}
