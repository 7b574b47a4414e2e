package gateway

import (
	"time"

	"sallyport/admin"
	"sallyport/health"
	"sallyport/internal/buildinfo"
	"sallyport/internal/vm"
	"sallyport/registry"
)

// Status returns what /status shows.
func (g *Gateway) Status() admin.Status {
	s := admin.Status{
		Version: buildinfo.Version(), Started: g.started, Draining: g.draining.Load(),
		Tunnel: string(g.tunnel.Mode()) + " " + g.tunnel.Name(), PublicKey: g.tunnel.PublicKey().String(),
	}
	if err := g.tunnel.Ready(); err != nil {
		s.TunnelFault = err.Error()
	}
	s.Instances = instances(g.health, g.registry)
	s.Certificates = certificates(g.certs, g.issuer)
	for _, l := range g.relay.Loops() {
		s.Loops = append(s.Loops, admin.Loop{Connections: l.Connections, Pipes: l.Pipes, Busy: l.Busy.Seconds()})
	}
	return s
}

// instances returns all that the data plane knows, refused ones among them: their reason
// is the verdict on their attestation.
func instances(h *health.Monitor, r *registry.Registry) []admin.Instance {
	var all []admin.Instance
	now, ends := time.Now(), ending(r)
	for _, i := range h.Status() {
		row := admin.Instance{
			App: string(i.App), ID: string(i.Instance), Address: i.Addr.String(), Health: i.Health.String(), Reason: i.Reason,
			Since: now.Sub(i.Since).Seconds(), Weight: int(i.Weight), Connections: int(i.Open), Failures: int(i.Failures),
		}
		if i.Age >= 0 {
			age := i.Age.Seconds()
			row.Handshake = &age
		}
		if e, ok := ends[i.Instance]; ok {
			row.UndecidedUntil, row.RefusedFrom = e.Undecided, e.RefusedFrom
			row.Reason += endOf(e)
		}
		all = append(all, row)
	}
	return all
}

// ending returns the instances that are served and will be refused later if nothing happens,
// or that are not served by their own names.
func ending(r *registry.Registry) map[vm.InstanceID]registry.Status {
	all := make(map[vm.InstanceID]registry.Status)
	for _, s := range r.Status() {
		if !s.Undecided.IsZero() || !s.RefusedFrom.IsZero() || s.Unnamed != "" {
			all[s.Instance] = s
		}
	}
	return all
}

// endOf returns what to add to the reason of such an instance.
func endOf(s registry.Status) (text string) {
	if !s.Undecided.IsZero() {
		text = "; its evidence cannot be appraised again at the moment; it is served until " + s.Undecided.UTC().Format(time.RFC3339)
	}
	if !s.RefusedFrom.IsZero() {
		text += "; it is refused from " + s.RefusedFrom.UTC().Format(time.RFC3339) + " unless it registers again: " + s.Ended
	}
	if s.Unnamed != "" {
		text += "; " + s.Unnamed
	}
	return text
}
