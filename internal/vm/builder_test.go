package vm

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
)

func instance(app AppID, id InstanceID) *Instance {
	return &Instance{
		Spec:   Spec{ID: id, App: app, Policy: OpenPolicy()},
		Health: Fresh,
		Weight: 100,
		Live:   new(Live),
	}
}

func TestLookupFindsAppsBeforeInstances(t *testing.T) {
	b := NewBuilder(0)
	b.Put(instance("one", "i1"))
	b.Put(instance("one", "i2"))
	b.Put(instance("i1", "i3"))
	s := b.Snapshot()
	for label, want := range map[string][2]string{
		"one": {"one", ""},
		"i1":  {"i1", ""}, // an instance of another app has that id too
		"i2":  {"one", "i2"},
		"i3":  {"i1", "i3"},
		"i4":  {},
		"":    {},
		"ONE": {},
	} {
		app, inst := s.Lookup([]byte(label))
		var got [2]string
		if app != nil {
			got[0] = string(app.ID)
		}
		if inst != nil {
			got[1] = string(inst.ID)
		}
		if got != want {
			t.Errorf("Lookup(%q) = %q, want %q", label, got, want)
		}
	}
}

func TestSnapshotsAreNumberedAndOnlyMadeForAChange(t *testing.T) {
	b := NewBuilder(0)
	if s := b.Snapshot(); s.Version != 0 || s != b.Snapshot() {
		t.Errorf("the first snapshot is number %d", s.Version)
	}
	b.Put(instance("a", "x"))
	first := b.Snapshot()
	if first.Version != 1 || b.Snapshot() != first {
		t.Errorf("version %d, want 1", first.Version)
	}
	if b.Remove("y") || b.Snapshot() != first {
		t.Error("removing nobody made a snapshot")
	}
	if !b.Remove("x") || b.Snapshot().Version != 2 {
		t.Error("removing somebody made none")
	}
}

func TestAppKeepsItsGaugeWhileItHasInstances(t *testing.T) {
	b := NewBuilder(2)
	b.Put(instance("a", "x"))
	before, _ := b.Snapshot().Lookup([]byte("a"))
	before.Open.Acquire()
	b.Put(instance("a", "y"))
	b.Remove("x")
	after, _ := b.Snapshot().Lookup([]byte("a"))
	if after.Open != before.Open || !after.Open.Acquire() || after.Open.Acquire() {
		t.Error("the count of connections or its limit was lost")
	}
}

// The builder against a plain map, over random changes; the oldest snapshot must not
// change with them.
func TestSnapshotsAgreeWithAMap(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	b := NewBuilder(0)
	want := make(map[InstanceID]AppID)
	var old *Snapshot
	var oldWant map[InstanceID]AppID
	for round := range 300 {
		for range random.IntN(40) {
			id := InstanceID(fmt.Sprint("i", random.IntN(600)))
			if random.IntN(3) == 0 {
				if _, known := want[id]; b.Remove(id) != known {
					t.Fatalf("Remove(%v) does not tell whether it was there", id)
				}
				delete(want, id)
			} else {
				app := AppID(fmt.Sprint("a", random.IntN(60)))
				b.Put(instance(app, id))
				want[id] = app
			}
		}
		s := b.Snapshot()
		agree(t, s, want)
		if round == 100 {
			old, oldWant = s, maps.Clone(want)
		}
	}
	agree(t, old, oldWant)
}

func agree(t *testing.T, s *Snapshot, want map[InstanceID]AppID) {
	t.Helper()
	apps := make(map[AppID][]InstanceID)
	for id, app := range want {
		apps[app] = append(apps[app], id)
		gotApp, got := s.Lookup([]byte(id))
		if got == nil || got.ID != id || got.App != app || gotApp.ID != app || !slices.Contains(gotApp.Instances, got) {
			t.Fatalf("version %d: Lookup(%v) = %v, %v, want app %v", s.Version, id, gotApp, got, app)
		}
	}
	n := 0
	for app := range s.Apps() {
		n++
		byName, inst := s.Lookup([]byte(app.ID))
		if byName != app || inst != nil {
			t.Fatalf("Lookup(%v) = %v, %v", app.ID, byName, inst)
		}
		var ids []InstanceID
		for _, inst := range app.Instances {
			ids = append(ids, inst.ID)
		}
		slices.Sort(ids)
		slices.Sort(apps[app.ID])
		if !slices.Equal(ids, apps[app.ID]) || len(app.Ready.Members) != len(ids) {
			t.Fatalf("version %d: app %v has %v, want %v", s.Version, app.ID, ids, apps[app.ID])
		}
	}
	nApps, nInst := s.Len()
	if n != len(apps) || nApps != n || nInst != len(want) {
		t.Fatalf("version %d: %d apps, Len %d, %d, want %d, %d", s.Version, n, nApps, nInst, len(apps), len(want))
	}
	if app, inst := s.Lookup([]byte("nobody")); app != nil || inst != nil {
		t.Fatalf("found nobody: %v, %v", app, inst)
	}
}
