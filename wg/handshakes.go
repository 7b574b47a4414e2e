package wg

import (
	"context"
	"fmt"
	"time"

	"sallyport/internal/vm"
)

// Handshakes returns when each peer last shook hands, with a monotonic reading: a
// step of the clock does not change an age. The zero Time is "never". Each call
// is one full dump (measured with 10,000 peers: 60-76 ms; there is no way to ask for
// one peer), so call it once per interval and share the answer.
func (d *Device) Handshakes(ctx context.Context) (map[vm.WGKey]time.Time, error) {
	var at map[vm.WGKey]time.Time
	err := d.inTurn(ctx, func() error {
		if _, err := d.dump(); err != nil {
			return err
		}
		at = make(map[vm.WGKey]time.Time, len(d.peers))
		for key, p := range d.peers {
			at[key] = p.handshake.at
		}
		return nil
	})
	return at, err
}

// dump reads the device and updates what is known about the peers.
func (d *Device) dump() (state, error) {
	s, err := d.backend.dump()
	if err != nil {
		d.metrics.dumpFailures.Inc()
		return state{}, fmt.Errorf("wg: dump of %s: %w", d.o.Interface, err)
	}
	d.observe(s, time.Now())
	return s, nil
}

func (d *Device) observe(s state, now time.Time) {
	d.dumped = now
	lost := 0
	for key, p := range d.peers {
		seen, ok := s.peers[key]
		if !ok && d.missing[key] {
			continue
		}
		if !ok { // another program removed it
			d.dropPeer(key)
			lost++
			continue
		}
		p.handshake = p.handshake.look(seen.handshake, now.Round(0), now)
		d.sawEndpoint(key, seen)
	}
	if lost > 0 {
		d.o.Log.Warn("another program removed wireguard peers; guests add them again when they register next", "peers", lost)
	}
}

// sawEndpoint keeps the endpoint of a peer that the device knows.
func (d *Device) sawEndpoint(key vm.WGKey, seen peerState) {
	if !usableEndpoint(seen.endpoint) {
		return
	}
	last, known := d.endpoints[key]
	if last == seen.endpoint {
		return
	}
	if known { // unexpected roaming is the sign of a rewriting NAT
		d.metrics.roams.Inc()
		d.o.Log.Debug("peer changed its endpoint", "peer", key.String(), "from", last.String(), "to", seen.endpoint.String())
	}
	d.endpoints[key] = seen.endpoint
	d.unsaved = true
}

func (d *Device) forgetEndpoint(key vm.WGKey) {
	if _, known := d.endpoints[key]; known {
		delete(d.endpoints, key)
		d.unsaved = true
	}
}
