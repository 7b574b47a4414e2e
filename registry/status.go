package registry

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"sallyport/internal/vm"
	"sallyport/registry/pool"
	"sallyport/registry/record"
)

// Status describes one registered instance to operators.
type Status struct {
	Instance   vm.InstanceID
	App        vm.AppID
	Key        vm.WGKey
	Addr       netip.Addr
	Compose    vm.ComposeHash
	Node       string        // the node that it registered with last
	Policy     vm.PortPolicy // in force
	Overridden bool          // Policy is set by an operator
	Registered time.Time     // the last time, or the start of this gateway
	Evidence   bool          // it registered with evidence, which is kept
	Appraised  time.Time     // last verdict on it since the start of this gateway, or zero
	Undecided  time.Time     // until when it is served without a verdict; zero: there is one
	Refused    string        // why it gets no traffic; "": it gets some
	Served     bool          // it gets traffic: peer and data plane are as they should be
	Problem    string        // why it cannot be served; "": it can
	Unnamed    string        // why no name leads to it, only to its app; "": one does

	Proven      time.Time // until when its proof is valid, or zero
	Ended       string    // why its proof has ended; "": it has not
	RefusedFrom time.Time // when it is refused for that, unless it registers again
}

// Status lists the registered instances, by app and id. Static ones are not among them.
func (r *Registry) Status() []Status {
	all := r.table.status()
	slices.SortFunc(all, func(a, b Status) int {
		return cmp.Or(cmp.Compare(a.App, b.App), cmp.Compare(a.Instance, b.Instance))
	})
	return all
}

func (t *table) status() []Status {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	all := make([]Status, 0, len(t.instances))
	for _, e := range t.instances {
		if e.rev == 0 {
			continue
		}
		s := t.specLocked(e)
		_, overridden := t.overrides[e.id]
		row := Status{
			Instance: e.id, App: e.app, Key: s.Key, Addr: s.Addr, Compose: s.Compose, Node: e.record.Node,
			Policy: s.Policy, Overridden: overridden, Registered: e.seen, Served: e.settled && s.Refused == "", Problem: e.problem, Unnamed: t.unnamedLocked(e.id),
			Evidence: e.record.Evidence != (record.Digest{}), Appraised: e.verdict, Undecided: t.undecidedEndLocked(e), Refused: s.Refused,
		}
		if e.record.Until != 0 {
			row.Proven = time.Unix(e.record.Until, 0)
		}
		if at, why := t.endLocked(e, now); why != "" && s.Refused == "" {
			row.Ended, row.RefusedFrom = why, at.Add(t.o.ProofGrace)
		}
		all = append(all, row)
	}
	return all
}

// poolStatus counts the addresses of the pool.
func (t *table) poolStatus() pool.Status {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.pool.Status(time.Now())
}
