package registry

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

func TestStatusShowsWhatIsServed(t *testing.T) {
	g := newRig(t, func(o *Options) { o.Node = "gw1" })
	g.register(t, request("b", "one"))
	g.register(t, request("a", "two"))
	closed := restricted(t)
	if err := g.SetOverride(t.Context(), "two", &closed); err != nil {
		t.Fatal(err)
	}
	g.dev.before = func(string) error { return errors.New("no room") }
	g.refuses(t, request("a", "three"), ErrPeer)
	all := g.Status()
	if len(all) != 3 || all[0].Instance != "three" || all[1].Instance != "two" || all[2].Instance != "one" {
		t.Fatalf("not by app and id: %+v", all)
	}
	if s := all[0]; s.Served {
		t.Errorf("served without a peer: %+v", s)
	}
	if s := all[1]; !s.Served || !s.Overridden || s.Policy != closed || s.Node != "gw1" || s.Key != key("two") || time.Since(s.Registered) > time.Hour {
		t.Errorf("%+v", s)
	}
}

func TestMetricsCountResultsAndAddresses(t *testing.T) {
	g, court := newCourtRig(t, nil)
	g.register(t, proven("app", "one", "good"))
	g.register(t, request("app", "one"))
	for verdict, want := range map[error]bool{nil: true, errOutOfDate: true, ErrUndecided: false} {
		court.rules("good", verdict)
		if err := g.reappraise(t.Context(), "one"); (err == nil) != want {
			t.Error(err)
		}
	}
	court.rules("good", nil)
	if err := g.reappraise(t.Context(), "one"); err != nil {
		t.Fatal(err)
	}
	thief := request("app", "two")
	thief.Key = key("one")
	g.refuses(t, thief, ErrKeyTaken)
	metrics := prometheus.NewRegistry()
	metrics.MustRegister(g.Collectors()...)
	families, err := metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]float64)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := []string{f.GetName()}
			for _, l := range m.GetLabel() {
				name = append(name, l.GetValue())
			}
			got[strings.Join(name, " ")] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	for name, want := range map[string]float64{
		"gateway_registrations_total changed":   1,
		"gateway_registrations_total unchanged": 1,
		"gateway_registrations_total key_taken": 1,
		"gateway_registrations_total other_app": 0,
		"gateway_pool_addresses used":           1,
		"gateway_pool_addresses resting":        0,
		"gateway_pool_addresses free":           1<<14 - 3, // without network, own, and used
		"gateway_instances_recycled_total":      0,

		"gateway_reattestations_total accepted":  2,
		"gateway_reattestations_total refused":   1,
		"gateway_reattestations_total undecided": 1,
	} {
		if n, ok := got[name]; !ok || n != want {
			t.Errorf("%s is %v, want %v", name, n, want)
		}
	}
}

func TestUnchangedRegistrationAllocatesNothing(t *testing.T) {
	g := newRig(t, nil)
	q := proven("app", "one", "evidence")
	g.register(t, q)
	if n := testing.AllocsPerRun(100, func() { g.register(t, q) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
