package vm

import (
	"slices"
	"testing"
	"unsafe"
)

func TestGroupPointsFallOnMembersByWeight(t *testing.T) {
	for _, weights := range [][]uint16{
		{100},
		{100, 100, 100},
		{1, 100, 10},
		{5, 5, 1},
		{7, 1, 7, 7},
		slices.Repeat([]uint16{100}, nearMembers),
		slices.Repeat([]uint16{100}, nearMembers+1),
		slices.Repeat([]uint16{1, 3}, nearMembers),
	} {
		var instances []*Instance
		for _, w := range weights {
			instances = append(instances, &Instance{Spec: Spec{Policy: OpenPolicy()}, Health: Fresh, Weight: w})
		}
		a := newApp("a", nil, instances)
		g := &a.Ready
		hits := make(map[*Instance]uint16)
		for point := range g.Total {
			m, start, end := g.At(point)
			if point < start || point >= end || end-start != uint32(m.Instance.Weight) {
				t.Fatalf("%v: point %d is on [%d, %d) of weight %d", weights, point, start, end, m.Instance.Weight)
			}
			hits[m.Instance]++
		}
		for i, inst := range instances {
			if hits[inst] != weights[i] {
				t.Errorf("%v: member %d has %d points", weights, i, hits[inst])
			}
		}
	}
}

func TestAppSortsInstancesByHealthAndPolicy(t *testing.T) {
	restricted := policy(t, true, PortRule{80, false})
	make := func(h Health, w uint16, p PortPolicy) *Instance {
		return &Instance{Spec: Spec{Policy: p}, Health: h, Weight: w}
	}
	a := newApp("a", nil, []*Instance{
		make(Never, 100, OpenPolicy()),
		make(Down, 100, OpenPolicy()),
		make(Ejected, 0, OpenPolicy()),
		make(Fresh, 100, OpenPolicy()),
		make(Ejected, 5, restricted),
		make(Stale, 10, OpenPolicy()),
	})
	if g := a.Ready; g.Policy != OpenPolicy() || len(g.Members) != 2 || g.Total != 110 {
		t.Errorf("first group: %+v", g)
	}
	if g := a.Ready.Next; g == nil || g.Policy != restricted || g.Total != 5 || g.Next != nil {
		t.Errorf("next group: %+v", g)
	}
	if a.Spare == nil || len(a.Spare.Members) != 1 || a.Spare.Total != 1 {
		t.Errorf("spare: %+v", a.Spare)
	}
	if none := newApp("a", nil, a.Instances[:2]); none.Ready.Total != 0 || none.Spare != nil {
		t.Errorf("unreachable instances serve: %+v", none)
	}
}

func TestAppFillsCacheLines(t *testing.T) {
	const line = 64
	if size := unsafe.Sizeof(App{}); size%line != 0 {
		t.Errorf("an App takes %d bytes: the next one does not begin with a cache line", size)
	}
	if at := unsafe.Offsetof(App{}.Ready) + unsafe.Offsetof(Group{}.near); at != 2*line {
		t.Errorf("the members begin after %d bytes, want 2 lines", at)
	}
}
