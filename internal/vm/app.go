package vm

import "slices"

// App is one app as a Snapshot shows it: its instances, and what choosing among
// them needs, worked out in advance. It is immutable, except for what Open and the
// instances' Live point to.
//
// With 10,000 apps most of a decision's time is waiting for memory. So what it reads
// lies together: the label fills the first cache line, what draws a member the
// second, and the members follow.
type App struct {
	label Label

	// Ready are the instances that take new connections. Empty if none is healthy.
	Ready Group

	// Spare are those that serve only if no Ready one may: they are ejected for now.
	// nil if there are none.
	Spare *Group

	ID        AppID
	Open      *Gauge // live connections of the app
	Instances []*Instance
}

// Group is a set of instances with one port policy, laid out on a line on which
// each takes as much room as its weight: a random point on it is a weighted choice.
// While an app is being updated there may be a Next group with another policy.
type Group struct {
	Policy  PortPolicy
	Total   uint32 // length of the line; 0 if the group is empty
	width   uint32 // of each member if all are alike, else 0
	Next    *Group
	Members []Member
	near    [nearMembers]Member // the Members again, if they are not more than fit
	ends    []uint32            // where each member ends on the line
}

// nearMembers is how many members lie in the group's own memory, where reading one is
// no further wait. As many fill an App up to a whole number of cache lines.
const nearMembers = 11

// Member is an instance on a group's line. Live is repeated here so that comparing
// two members need not read the instances.
type Member struct {
	Instance *Instance
	Live     *Live
}

// At returns the member at point, which must be below Total, and where its stretch begins
// and ends.
func (g *Group) At(point uint32) (m *Member, start, end uint32) {
	if g.width > 0 { // the usual case: all weights are equal
		i := point / g.width
		return g.member(i), i * g.width, (i + 1) * g.width
	}
	i, exact := slices.BinarySearch(g.ends, point)
	if exact { // a member's end is the next one's start
		i++
	}
	if i > 0 {
		start = g.ends[i-1]
	}
	return g.member(uint32(i)), start, g.ends[i]
}

func (g *Group) member(i uint32) *Member {
	if len(g.Members) <= nearMembers {
		return &g.near[i]
	}
	return &g.Members[i]
}

// newApp works out the groups of an app's instances, which it keeps.
func newApp(id AppID, open *Gauge, instances []*Instance) *App {
	a := &App{ID: id, Open: open, Instances: instances}
	a.label, _ = ParseLabel(string(id))
	a.Ready.fill(instances, func(i *Instance) uint32 { return uint32(i.Weight) })
	spare := Group{}
	spare.fill(instances, func(i *Instance) uint32 {
		if i.Weight == 0 {
			return 1
		}
		return 0
	})
	if spare.Total > 0 {
		a.Spare = &spare
	}
	return a
}

// fill takes in the serving instances whose weight is not 0: those with the first
// one's policy into g, the others into groups that follow it.
func (g *Group) fill(instances []*Instance, weight func(*Instance) uint32) {
	byPolicy := make(map[PortPolicy]*Group, 1)
	last := g
	for i, inst := range instances {
		w := weight(inst)
		if w == 0 || !inst.Health.Serves() {
			continue
		}
		to := byPolicy[inst.Policy]
		switch {
		case to != nil:
		case g.Total == 0:
			to = g
			to.Members = make([]Member, 0, len(instances)-i)
			to.ends = make([]uint32, 0, len(instances)-i)
		default:
			to = new(Group)
			last.Next, last = to, to
		}
		byPolicy[inst.Policy] = to
		to.add(inst, w)
	}
}

func (g *Group) add(inst *Instance, weight uint32) {
	if g.Total == 0 {
		g.Policy, g.width = inst.Policy, weight
	}
	if weight != g.width {
		g.width = 0
	}
	g.Total += weight
	g.ends = append(g.ends, g.Total)
	m := Member{Instance: inst, Live: inst.Live}
	if n := len(g.Members); n < nearMembers {
		g.near[n] = m
	}
	g.Members = append(g.Members, m)
}
