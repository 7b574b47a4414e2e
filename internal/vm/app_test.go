package vm

import (
	"testing"
	"unsafe"
)

func TestGroupPointsFallOnMembersByWeight(t *testing.T) {
	for _, weights := range [][]uint16{{100}, {100, 100, 100}, {1, 100, 10}, {5, 5, 1}, {7, 1, 7, 7}} {
		var instances []*Instance
		for _, w := range weights {
			instances = append(instances, &Instance{Spec: Spec{Policy: OpenPolicy()}, Health: Fresh, Weight: w})
		}
		g := &newApp("a", nil, instances).Ready
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
	if size := unsafe.Sizeof(App{}); size%64 != 0 {
		t.Errorf("an App takes %d bytes: its first two cache lines become three", size)
	}
	if end := unsafe.Offsetof(App{}.Ready) + unsafe.Offsetof(Group{}.ends); end != 128 {
		t.Errorf("what a lookup reads ends after %d bytes, want 128", end)
	}
}
