package vm

import "slices"

// App is one app as a Snapshot shows it: its instances, and what choosing among
// them needs, worked out in advance. It is immutable, except for what Open and the
// instances' Live point to.
//
// What a lookup reads fills the first two cache lines: with 10,000 apps most of its
// time is waiting for memory.
type App struct {
	label Label

	// Ready are the instances that take new connections. Empty if none is healthy.
	Ready Line

	// Spare are those that serve only if no Ready one may: they are ejected for now.
	Spare Line

	ID        AppID
	Open      *Gauge // live connections of the app
	Instances []*Instance
}

// Line is a set of instances by port policy. Usually there is one policy, First;
// while an app is being updated there may be More.
type Line struct {
	First Group
	More  []Group
}

// Empty reports whether there is no instance.
func (l *Line) Empty() bool { return l.First.Total == 0 }

// Group is a set of instances with one port policy, laid out on a line on which
// each takes as much room as its weight: a random point on it is a weighted choice.
type Group struct {
	Members []Member
	Policy  PortPolicy
	Total   uint32   // length of the line
	width   uint32   // of each member if all are alike, else 0
	ends    []uint32 // where each member ends on the line
}

// Member is an instance on a group's line. Live is repeated here so that comparing
// two members need not read the instances.
type Member struct {
	Instance *Instance
	Live     *Live
}

// At tells who lies at point, which must be below Total, and from where to where.
func (g *Group) At(point uint32) (m *Member, start, end uint32) {
	if g.width > 0 { // the usual case: all weights are equal
		i := point / g.width
		return &g.Members[i], i * g.width, (i + 1) * g.width
	}
	i, exact := slices.BinarySearch(g.ends, point)
	if exact { // a member's end is the next one's start
		i++
	}
	if i > 0 {
		start = g.ends[i-1]
	}
	return &g.Members[i], start, g.ends[i]
}

// newApp works out the lines of an app's instances, which it keeps.
func newApp(id AppID, open *Gauge, instances []*Instance) *App {
	a := &App{ID: id, Open: open, Instances: instances}
	a.label, _ = ParseLabel(string(id))
	a.Ready.fill(instances, func(i *Instance) uint32 { return uint32(i.Weight) })
	a.Spare.fill(instances, func(i *Instance) uint32 {
		if i.Weight == 0 {
			return 1
		}
		return 0
	})
	return a
}

// fill takes in the serving instances whose weight is not 0.
func (l *Line) fill(instances []*Instance, weight func(*Instance) uint32) {
	groups := make([]Group, 0, 1)
	at := make(map[PortPolicy]int, 1)
	for i, inst := range instances {
		w := weight(inst)
		if w == 0 || !inst.Health.Serves() {
			continue
		}
		n, known := at[inst.Policy]
		if !known {
			n = len(groups)
			at[inst.Policy] = n
			groups = append(groups, Group{Policy: inst.Policy, width: w})
			if n == 0 { // the first policy is usually the only one
				groups[0].Members = make([]Member, 0, len(instances)-i)
				groups[0].ends = make([]uint32, 0, len(instances)-i)
			}
		}
		groups[n].add(inst, w)
	}
	if len(groups) > 0 {
		l.First = groups[0]
	}
	if len(groups) > 1 {
		l.More = groups[1:]
	}
}

func (g *Group) add(inst *Instance, weight uint32) {
	if weight != g.width {
		g.width = 0
	}
	g.Total += weight
	g.ends = append(g.ends, g.Total)
	g.Members = append(g.Members, Member{Instance: inst, Live: inst.Live})
}
