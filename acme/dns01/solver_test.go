package dns01

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"sallyport/internal/gwtest/dnstest"
)

func TestRecordIsAddedSeenAndRemoved(t *testing.T) {
	w := newWorld(t)
	s := w.solver(t, Options{})
	c := challenge("gw.example.com", "a")
	if err := s.Present(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if got := w.ns1.Texts("_acme-challenge.gw.example.com."); !slices.Equal(got, []string{c.DNS01KeyAuthorization()}) {
		t.Fatalf("the name has %q", got)
	}
	if err := s.Wait(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if err := s.CleanUp(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if got := w.ns1.Texts("_acme-challenge.gw.example.com."); got != nil {
		t.Fatalf("the name still has %q", got)
	}
	if got, want := w.provider.called(), "append _acme-challenge.gw example.com.\ndelete _acme-challenge.gw example.com."; got != want {
		t.Errorf("the provider was asked for\n%s\nwant\n%s", got, want)
	}
}

func TestDomainAndWildcardShareTheName(t *testing.T) {
	w := newWorld(t)
	s := w.solver(t, Options{})
	const name = "_acme-challenge.gw.example.com."
	for _, ns := range []*dnstest.Server{w.ns1, w.ns2} {
		ns.Add(name + ` 60 IN TXT "somebody else's"`)
	}
	a, b := challenge("gw.example.com", "a"), challenge("gw.example.com", "b")
	for _, err := range []error{s.Present(t.Context(), a), s.Present(t.Context(), b), s.Wait(t.Context(), a), s.Wait(t.Context(), b)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if got := w.ns1.Texts(name); len(got) != 3 {
		t.Fatalf("the name has %q: want three values", got)
	}
	if err := s.CleanUp(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	want := []string{b.DNS01KeyAuthorization(), "somebody else's"}
	slices.Sort(want)
	if got := w.ns1.Texts(name); !slices.Equal(got, want) {
		t.Errorf("after the clean-up of one the name has %q, want %q", got, want)
	}
}

func TestCleanUpNeedsNoPresent(t *testing.T) {
	w := newWorld(t)
	c := challenge("gw.example.com", "a")
	if err := w.solver(t, Options{}).Present(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if err := w.solver(t, Options{}).CleanUp(t.Context(), c); err != nil { // after a restart
		t.Fatal(err)
	}
	if got := w.ns1.Texts("_acme-challenge.gw.example.com."); got != nil {
		t.Errorf("the name still has %q", got)
	}
}

func TestCleanUpGoesWherePresentWent(t *testing.T) {
	w := newWorld(t)
	s := w.solver(t, Options{})
	c := challenge("gw.example.com", "a")
	w.resolver.Add("_acme-challenge.gw.example.com. 60 IN CNAME old.example.com.")
	if err := s.Present(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	w.resolver.Remove("_acme-challenge.gw.example.com. 60 IN CNAME old.example.com.")
	w.resolver.Add("_acme-challenge.gw.example.com. 60 IN CNAME new.example.com.")
	if err := s.CleanUp(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if got := w.ns1.Texts("old.example.com."); got != nil {
		t.Errorf("the old name still has %q", got)
	}
}

func TestProviderErrorNamesRecordAndZone(t *testing.T) {
	w := newWorld(t)
	w.provider.fail = errors.New("no permission")
	s := w.solver(t, Options{})
	c := challenge("gw.example.com", "a")
	mustFail(t, s.Present(t.Context(), c), "no permission", "_acme-challenge.gw.example.com.", "zone example.com.")
	mustFail(t, s.CleanUp(t.Context(), c), "no permission", "_acme-challenge.gw.example.com.", "zone example.com.")
}

func TestSolverNeedsAProvider(t *testing.T) {
	_, err := New(Options{})
	mustFail(t, err, "no DNS provider")
}

func TestPlacesAreBounded(t *testing.T) {
	var ps places
	start := time.Now()
	for i := range maxPlaces + 10 {
		ps.put(fmt.Sprint(i), place{name: "n", zone: "z"}, start.Add(time.Duration(i)))
	}
	if len(ps.known) != maxPlaces {
		t.Errorf("%d places are kept", len(ps.known))
	}
	if _, ok := ps.get("9"); ok {
		t.Error("the oldest is still there")
	}
	if _, ok := ps.get(fmt.Sprint(maxPlaces + 9)); !ok {
		t.Error("the newest is not there")
	}
}

func TestPlaceGrowsOld(t *testing.T) {
	var ps places
	now := time.Now()
	ps.put("a", place{name: "n", zone: "z"}, now)
	if _, ok := ps.fresh("a", now.Add(placeFor-1)); !ok {
		t.Error("it is old too early")
	}
	if _, ok := ps.fresh("a", now.Add(placeFor)); ok {
		t.Error("it is believed too long")
	}
	if _, ok := ps.get("a"); !ok {
		t.Error("it is gone for the clean-up")
	}
}
