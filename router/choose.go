package router

import "sallyport/internal/vm"

// How instances are chosen. The instances that may serve the port lie on a line, each
// as wide as its weight (vm.Group). A random point picks one; its stretch is then left
// out and the next point picks another: weighted, without repeats and without
// retries. Of the first two, the one with fewer open connections is dialled; the
// other one and a third are for hedging. Two random choices keep the fullest
// instance near the mean without a look at all of them, and do not send all
// connections to the emptiest one (Mitzenmacher, "The Power of Two Choices", 2001).

// stretch is a part of the line.
type stretch struct{ start, end uint32 }

// choose fills in the candidates among the app's instances.
func (d *Decision) choose(app *vm.App, random func(n uint32) uint32) Refusal {
	line := &app.Ready
	left := length(line, d.Port)
	if left == 0 {
		line = app.Spare
		left = length(line, d.Port)
	}
	if left == 0 {
		return refusal(app)
	}
	first, taken := draw(line, d.Port, random(left))
	left -= taken.end - taken.start
	if left == 0 {
		d.add(first)
		return None
	}
	second, also := draw(line, d.Port, taken.around(random(left)))
	if second.member.Live.Open() < first.member.Live.Open() {
		first, second = second, first
	}
	d.add(first)
	d.add(second)
	if left -= also.end - also.start; left > 0 {
		if also.start < taken.start {
			taken, also = also, taken
		}
		third, _ := draw(line, d.Port, also.around(taken.around(random(left))))
		d.add(third)
	}
	return None
}

// take makes the instance that the client asked for by id the only candidate. An
// ejected instance is tried, because no other can take its place.
func (d *Decision) take(inst *vm.Instance) Refusal {
	switch {
	case !inst.Health.Serves():
		return NoHealthyInstance
	case inst.Policy.Allows(d.Port):
		d.Candidates[0] = Candidate{Instance: inst, SendProxy: inst.Policy.Proxy(d.Port)}
		d.N = 1
		return None
	case inst.Policy.State() == vm.PolicyUnknown:
		return PolicyUnknown
	default:
		return PortDenied
	}
}

// drawn is a member of the line with its group.
type drawn struct {
	group  *vm.Group
	member *vm.Member
}

func (d *Decision) add(c drawn) {
	d.Candidates[d.N] = Candidate{Instance: c.member.Instance, SendProxy: c.group.Policy.Proxy(d.Port)}
	d.N++
}

// length of the line as far as it allows the port.
func length(line *vm.Group, port uint16) (sum uint32) {
	for g := line; g != nil; g = g.Next {
		if g.Policy.Allows(port) {
			sum += g.Total
		}
	}
	return sum
}

// draw returns the member at a point of the line as far as it allows the port.
func draw(line *vm.Group, port uint16, point uint32) (drawn, stretch) {
	g, before := line, uint32(0)
	for ; g.Next != nil; g = g.Next { // the last one needs no question
		if !g.Policy.Allows(port) {
			continue
		}
		if point-before < g.Total {
			break
		}
		before += g.Total
	}
	m, start, end := g.At(point - before)
	return drawn{g, m}, stretch{before + start, before + end}
}

// around moves a point that was drawn on the line without s to where it lies on the
// whole line.
func (s stretch) around(point uint32) uint32 {
	if point >= s.start {
		point += s.end - s.start
	}
	return point
}

// refusal returns why none of the app's instances is a candidate.
func refusal(app *vm.App) Refusal {
	if app.Ready.Total == 0 && app.Spare == nil {
		return NoHealthyInstance
	}
	for _, line := range [...]*vm.Group{&app.Ready, app.Spare} {
		for g := line; g != nil; g = g.Next {
			if g.Policy.State() != vm.PolicyUnknown {
				return PortDenied
			}
		}
	}
	return PolicyUnknown
}
