package wg

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"sallyport/internal/oneline"
	"sallyport/internal/vm"
)

// SetPeer adds the peer, or gives a known one another address. Repeating it
// changes nothing and touches nothing: the device keeps the endpoint it learnt. A
// new peer gets its last known endpoint, so that it can be dialled at once.
//
// Refused are the device's own key (a device ignores it silently), an address
// outside of the tunnel network, and the address of another peer, which would
// take that peer's traffic. On an error the peer may be sent nothing; repeat the
// call or remove it.
func (d *Device) SetPeer(ctx context.Context, p Peer) error {
	if err := d.check(p); err != nil {
		return fmt.Errorf("wg: set peer %s: %w", p.Key, err)
	}
	return d.inTurn(ctx, func() error {
		if err := d.setPeer(p); err != nil {
			return fmt.Errorf("wg: set peer %s: %w", p.Key, err)
		}
		return nil
	})
}

// RemovePeer removes the peer and forgets its endpoint. Removing a peer that is
// not there is not an error.
func (d *Device) RemovePeer(ctx context.Context, key vm.WGKey) error {
	return d.inTurn(ctx, func() error { return d.removePeer(key) })
}

// RemovePeersExcept removes every peer that is not in keep, one by one, also
// those that the device had before Open, and forgets their endpoints.
func (d *Device) RemovePeersExcept(ctx context.Context, keep []vm.WGKey) error {
	kept := make(map[vm.WGKey]bool, len(keep))
	for _, k := range keep {
		kept[k] = true
	}
	return d.inTurn(ctx, func() error {
		s, err := d.dump()
		if err != nil {
			return err
		}
		var errs []error
		for key := range s.peers {
			if !kept[key] {
				errs = append(errs, d.removePeer(key))
			}
		}
		for key := range d.endpoints {
			if !kept[key] {
				d.forgetEndpoint(key)
			}
		}
		return oneline.Join(errs...)
	})
}

func (d *Device) check(p Peer) error {
	switch {
	case p.Key.IsZero():
		return errors.New("the key is missing")
	case d.mode == ModeNone:
		return nil
	case p.Key == d.public:
		return errors.New("this is the gateway's own key")
	case !p.Address.Is4() || !d.o.Address.Contains(p.Address):
		return fmt.Errorf("address %s is outside of the tunnel network %s", p.Address, d.o.Address.Masked())
	case p.Address == d.o.Address.Addr():
		return fmt.Errorf("address %s is the gateway's own", p.Address)
	case p.Endpoint != netip.AddrPort{} && !usableEndpoint(p.Endpoint):
		return fmt.Errorf("no packet can be sent to endpoint %s", p.Endpoint)
	}
	return nil
}

func (d *Device) setPeer(p Peer) error {
	if owner, taken := d.owners[p.Address]; taken && owner != p.Key {
		return fmt.Errorf("address %s belongs to peer %s: remove that one first", p.Address, owner)
	}
	known := d.peers[p.Key]
	if known != nil && known.address == p.Address {
		return nil
	}
	c := change{key: p.Key, address: p.Address}
	if known == nil {
		if len(d.peers) >= MaxPeers {
			return fmt.Errorf("the device already has %d peers, which is the limit", MaxPeers)
		}
		if c.endpoint = d.endpoints[p.Key]; !c.endpoint.IsValid() {
			c.endpoint = p.Endpoint
		}
	}
	if err := d.apply(c); err != nil {
		return err
	}
	if known == nil {
		d.addPeer(p.Key)
	}
	d.claim(p.Key, p.Address)
	d.peers[p.Key].given = p.Endpoint
	return nil
}

// apply makes a change. A change may fail half-way (IpcSet is not a transaction):
// the rest of the peer is then removed, so that it can neither keep an
// address that may be given to another nor be taken for set.
func (d *Device) apply(c change) error {
	err := d.backend.apply(c)
	if err == nil {
		return nil
	}
	d.dropPeer(c.key)
	return oneline.Join(err, d.backend.apply(change{key: c.key, remove: true}))
}

// removePeer is content with an interface that is gone: the next has the peers that
// are known then.
func (d *Device) removePeer(key vm.WGKey) error {
	if err := d.backend.apply(change{key: key, remove: true}); err != nil && !errors.Is(err, errGone) {
		return fmt.Errorf("wg: remove peer %s: %w", key, err)
	}
	d.dropPeer(key)
	d.forgetEndpoint(key)
	return nil
}

// missAll notes that the interface is new: it has no peers, and no session of theirs.
func (d *Device) missAll() {
	d.missing = make(map[vm.WGKey]bool, len(d.peers))
	for key, p := range d.peers {
		d.missing[key] = true
		p.handshake = handshake{}
	}
}

// setMissing sets the peers that are missing, with the endpoints where they were last.
// What fails is tried again at the next call.
func (d *Device) setMissing() error {
	if len(d.missing) == 0 {
		return nil
	}
	for key := range d.missing {
		p := d.peers[key]
		if p != nil && p.address.IsValid() {
			c := change{key: key, address: p.address, endpoint: d.endpoints[key]}
			if !c.endpoint.IsValid() {
				c.endpoint = p.given
			}
			if err := d.backend.apply(c); err != nil {
				return fmt.Errorf("wg: add peer %s again, one of %d that are missing: %w", key, len(d.missing), err)
			}
		}
		delete(d.missing, key)
	}
	s, err := d.dump()
	if err != nil {
		return err
	}
	d.listenPort.Store(int32(s.listenPort)) //nolint:gosec // a port
	return nil
}

func (d *Device) addPeer(key vm.WGKey) {
	d.peers[key] = &peer{handshake: newborn()}
	d.count.Store(int64(len(d.peers)))
}

// dropPeer forgets a peer that the device no longer has.
func (d *Device) dropPeer(key vm.WGKey) {
	if p := d.peers[key]; p != nil {
		d.release(key, p)
		delete(d.peers, key)
		d.count.Store(int64(len(d.peers)))
	}
}

// claim gives the peer its address in our books.
func (d *Device) claim(key vm.WGKey, address netip.Addr) {
	p := d.peers[key]
	d.release(key, p)
	p.address = address
	if address.IsValid() {
		d.owners[address] = key
	}
}

func (d *Device) release(key vm.WGKey, p *peer) {
	if d.owners[p.address] == key {
		delete(d.owners, p.address)
	}
	p.address = netip.Addr{}
}
