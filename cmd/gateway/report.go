package main

import (
	"time"

	"sallyport/admin"
	"sallyport/internal/vm"
)

// report is what /status shows.
func (g *gateway) report() admin.Status {
	v, _ := versionAndCommit()
	s := admin.Status{
		Version: v, Started: g.started, Draining: g.draining.Load(),
		Tunnel: string(g.tunnel.Mode()) + " " + g.tunnel.Name(), PublicKey: g.tunnel.PublicKey().String(),
	}
	if err := g.tunnel.Ready(); err != nil {
		s.TunnelFault = err.Error()
	}
	s.Instances = g.instances()
	s.Certificates = g.certificates()
	for _, l := range g.relay.Loops() {
		s.Loops = append(s.Loops, admin.Loop{Connections: l.Connections, Pipes: l.Pipes, Busy: l.Busy.Seconds()})
	}
	return s
}

// instances are all that the data plane knows, refused ones among them: their reason is
// the verdict on their attestation.
func (g *gateway) instances() []admin.Instance {
	var all []admin.Instance
	now, undecided := time.Now(), g.undecided()
	for _, i := range g.health.Status() {
		row := admin.Instance{
			App: string(i.App), ID: string(i.Instance), Address: i.Addr.String(), Health: i.Health.String(), Reason: i.Reason,
			Since: now.Sub(i.Since).Seconds(), Weight: int(i.Weight), Connections: int(i.Open), Failures: int(i.Failures),
		}
		if i.Age >= 0 {
			age := i.Age.Seconds()
			row.Handshake = &age
		}
		if end := undecided[i.Instance]; !end.IsZero() {
			row.UndecidedUntil = end
			row.Reason += "; its evidence cannot be judged again, and it is served so until " + end.UTC().Format(time.RFC3339)
		}
		all = append(all, row)
	}
	return all
}

// undecided are the instances that are served though nobody can judge their evidence, and
// until when.
func (g *gateway) undecided() map[vm.InstanceID]time.Time {
	until := make(map[vm.InstanceID]time.Time)
	for _, s := range g.registry.Status() {
		if !s.Undecided.IsZero() {
			until[s.Instance] = s.Undecided
		}
	}
	return until
}
