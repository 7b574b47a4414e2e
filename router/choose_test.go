package router

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"sallyport/internal/vm"
)

// shares routes n connections and tells what part of them each instance was the
// first candidate for.
func shares(t *testing.T, r *Router, name string, n int) map[vm.InstanceID]float64 {
	t.Helper()
	r.random = rand.New(rand.NewPCG(1, 2)).Uint32N
	count := make(map[vm.InstanceID]float64)
	for range n {
		d := r.Route([]byte(name))
		if d.Refusal != None {
			t.Fatal(d.Refusal)
		}
		count[d.Candidates[0].Instance.ID] += 1 / float64(n)
	}
	return count
}

func near(got, want float64) bool { return math.Abs(got-want) < 0.02 }

func TestEqualInstancesShareEvenly(t *testing.T) {
	r := routerFor(inst("app", "a"), inst("app", "b"), inst("app", "c"), inst("app", "d"))
	for id, share := range shares(t, r, "app.gw.example.com", 20_000) {
		if !near(share, 0.25) {
			t.Errorf("%v gets %.3f, want a quarter", id, share)
		}
	}
}

func TestEveryPlaceIsSharedEvenly(t *testing.T) {
	const n = 20_000
	r := routerFor(inst("app", "a"), inst("app", "b"), inst("app", "c"), inst("app", "d"))
	r.random = rand.New(rand.NewPCG(1, 2)).Uint32N
	var places [MaxCandidates]map[vm.InstanceID]float64
	for i := range places {
		places[i] = make(map[vm.InstanceID]float64)
	}
	for range n {
		d := r.Route([]byte("app.gw.example.com"))
		for i, id := range ids(&d) {
			places[i][id] += 1.0 / n
		}
	}
	for i, shares := range places {
		for id, share := range shares {
			if !near(share, 0.25) {
				t.Errorf("%v is candidate %d in %.3f of all, want a quarter", id, i, share)
			}
		}
	}
}

func TestWeightsDecideWhenLoadIsEqual(t *testing.T) {
	r := routerFor(inst("app", "a"), inst("app", "b"), inst("app", "w", health(vm.Warming, 10)))
	if share := shares(t, r, "app.gw.example.com", 20_000)["w"]; !near(share, 10.0/210) {
		t.Errorf("the warming one gets %.3f, want %.3f", share, 10.0/210)
	}
}

func TestFewerConnectionsWin(t *testing.T) {
	r := routerFor(inst("app", "busy", open(7)), inst("app", "idle", open(2)))
	if share := shares(t, r, "app.gw.example.com", 1000)["idle"]; share < 0.999 {
		t.Errorf("the idle one gets %.3f of the connections, want all", share)
	}
	// Of four the busiest one never wins, the least busy one wins each pair it is in.
	r = routerFor(inst("app", "a", open(1)), inst("app", "b", open(2)), inst("app", "c", open(3)), inst("app", "d", open(4)))
	got := shares(t, r, "app.gw.example.com", 20_000)
	if got["d"] != 0 || !near(got["a"], 0.5) {
		t.Errorf("shares %v, want a half for a, none for d", got)
	}
}

func TestCandidatesAreDistinct(t *testing.T) {
	all := []*vm.Instance{
		inst("app", "a"), inst("app", "b", health(vm.Stale, 10)), inst("app", "c", health(vm.Warming, 1)),
		inst("app", "d", ports(vm.PortRule{Port: 80, Proxy: true})), inst("app", "e", ports(vm.PortRule{Port: 80})),
	}
	for n := 1; n <= len(all); n++ {
		r := routerFor(slices.Clone(all[:n])...)
		seen := make(map[vm.InstanceID]bool)
		for range 2000 {
			d := r.Route([]byte("app.gw.example.com"))
			got := ids(&d)
			for _, id := range got {
				seen[id] = true
			}
			slices.Sort(got)
			if len(slices.Compact(got)) != min(n, MaxCandidates) {
				t.Fatalf("%d instances: candidates %v", n, ids(&d))
			}
		}
		if len(seen) != n {
			t.Errorf("%d instances, only %v are ever candidates", n, seen)
		}
	}
}

func TestPolicyIsHeldPerInstance(t *testing.T) {
	r := routerFor(
		inst("app", "old", ports(vm.PortRule{Port: 80})),
		inst("app", "new", ports(vm.PortRule{Port: 80}, vm.PortRule{Port: 8080, Proxy: true})),
		inst("app", "newer", ports(vm.PortRule{Port: 8080})),
		inst("app", "unread", noPolicy),
	)
	for name, want := range map[string]map[vm.InstanceID]bool{ // to whether it wants a PROXY header
		"app.gw.example.com":      {"old": false, "new": false},
		"app-8080.gw.example.com": {"new": true, "newer": false},
	} {
		for range 100 {
			d := r.Route([]byte(name))
			if d.N != len(want) {
				t.Fatalf("%s: candidates %v", name, ids(&d))
			}
			for _, c := range d.Candidates[:d.N] {
				if proxy, ok := want[c.Instance.ID]; !ok || proxy != c.SendProxy {
					t.Fatalf("%s: candidate %v with proxy %v", name, c.Instance.ID, c.SendProxy)
				}
			}
		}
	}
}

func TestEjectedInstancesServeOnlyAlone(t *testing.T) {
	ejected := health(vm.Ejected, 0)
	r := routerFor(
		inst("half", "h1"), inst("half", "h2", ejected),
		inst("all", "a1", ejected), inst("all", "a2", ejected), inst("all", "a3", health(vm.Down, 0)),
		inst("ports", "p1", ports()), inst("ports", "p2", ejected),
	)
	for name, want := range map[string][]vm.InstanceID{
		"half.gw.example.com":  {"h1"},
		"all.gw.example.com":   {"a1", "a2"},
		"ports.gw.example.com": {"p2"}, // the healthy one does not open the port
		"h2.gw.example.com":    {"h2"},
	} {
		d := r.Route([]byte(name))
		got := ids(&d)
		slices.Sort(got)
		if d.Refusal != None || !slices.Equal(got, want) {
			t.Errorf("%s: %v, candidates %v, want %v", name, d.Refusal, got, want)
		}
	}
}

func TestInstanceIDMeansExactlyThatOne(t *testing.T) {
	r := routerFor(inst("app", "a"), inst("app", "b", ports(vm.PortRule{Port: 81, Proxy: true})))
	for range 100 {
		d := r.Route([]byte("b-81.gw.example.com"))
		if d.Refusal != None || d.N != 1 || d.Candidates[0].Instance.ID != "b" || !d.Candidates[0].SendProxy || d.App.ID != "app" {
			t.Fatalf("%+v", d)
		}
	}
}
