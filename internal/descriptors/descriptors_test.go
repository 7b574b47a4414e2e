package descriptors

import "testing"

func everything(per int) Needs {
	return Needs{Loops: 4, Listeners: 2, Guests: true, DNS: 2, Lookups: true, PerConnection: per}
}

func TestSharesNeverPassTheLimit(t *testing.T) {
	for _, per := range []int{2, 3} {
		for _, n := range []Needs{everything(per), {Loops: 1, Listeners: 1, PerConnection: per}} {
			for limit := 0; limit < 1<<21; limit += 1 + limit/50 {
				b, err := Divide(limit, n)
				if err != nil {
					continue
				}
				sum := 0
				for _, s := range b.Shares() {
					if sum += s.Descriptors; s.Descriptors < 0 {
						t.Errorf("limit %d: %s has %d", limit, s.Name, s.Descriptors)
					}
				}
				if sum > limit || b.Room < fewest || b.Connections < fewest/2 || b.Pipes < n.Loops || b.Site < 8 || b.Lingering < 8 || b.Hedges < 8 {
					t.Errorf("limit %d, %d each: %d in all of %+v", limit, per, sum, b)
				}
			}
		}
	}
}

func TestNearlyAllIsForConnections(t *testing.T) {
	for _, limit := range []int{20_000, 524_288} {
		b, err := Divide(limit, everything(2))
		if err != nil {
			t.Fatal(err)
		}
		if b.Connections*2 < limit/2 {
			t.Errorf("%d connections of %d descriptors: %v", b.Connections, limit, b.Shares())
		}
	}
}

func TestWantedConnectionsAreBoundedByTheRoom(t *testing.T) {
	n := everything(2)
	all, err := Divide(20_000, n)
	if err != nil {
		t.Fatal(err)
	}
	for wanted, want := range map[int]int{0: all.Connections, 100: 100, all.Room: all.Room, all.Room + 1: all.Room} {
		n.Connections = wanted
		b, err := Divide(20_000, n)
		if err != nil || b.Connections != want || b.Room != all.Room {
			t.Errorf("%d wanted: %+v, %v", wanted, b, err)
		}
		if few := b.Pipes < all.Pipes; few != (wanted >= all.Room) {
			t.Errorf("%d wanted: %d pipes, else %d", wanted, b.Pipes, all.Pipes)
		}
	}
}

func TestALimitWithoutRoomIsAnError(t *testing.T) {
	for _, limit := range []int{0, 64, 256} {
		if b, err := Divide(limit, everything(3)); err == nil {
			t.Errorf("%d: %+v", limit, b)
		}
	}
	if _, err := Divide(400, Needs{Loops: 2, Listeners: 2, PerConnection: 2}); err != nil {
		t.Errorf("400 for clients alone: %v", err)
	}
}

func TestTheLimitIsRead(t *testing.T) {
	if n, err := Limit(); err != nil || n < 64 {
		t.Errorf("%d, %v", n, err)
	}
}
