package vm

import "testing"

func TestGroupPointsFallOnMembersByWeight(t *testing.T) {
	for _, weights := range [][]uint16{{100}, {100, 100, 100}, {1, 100, 10}, {5, 5, 1}, {7, 1, 7, 7}} {
		var instances []*Instance
		for _, w := range weights {
			instances = append(instances, &Instance{Spec: Spec{Policy: OpenPolicy()}, Health: Fresh, Weight: w})
		}
		g := &newApp("a", nil, instances).Ready.First
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
	if g := a.Ready.First; g.Policy != OpenPolicy() || len(g.Members) != 2 || g.Total != 110 {
		t.Errorf("first group: %+v", g)
	}
	if len(a.Ready.More) != 1 || a.Ready.More[0].Policy != restricted || a.Ready.More[0].Total != 5 {
		t.Errorf("more groups: %+v", a.Ready.More)
	}
	if a.Spare.Empty() || len(a.Spare.First.Members) != 1 || a.Spare.First.Total != 1 {
		t.Errorf("spare: %+v", a.Spare)
	}
	if none := newApp("a", nil, a.Instances[:2]); !none.Ready.Empty() || !none.Spare.Empty() {
		t.Errorf("unreachable instances serve: %+v", none)
	}
}
