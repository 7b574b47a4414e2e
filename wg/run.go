package wg

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"time"

	"sallyport/internal/vm"
)

const (
	// guardEvery is how long a removed isolation may go unnoticed.
	guardEvery = time.Second
	// saveEvery is how often the endpoints file is written, if anything changed. A
	// guest whose endpoint is lost in a crash does not notice for two minutes.
	saveEvery = time.Second
	// lookEvery is how old a dump may get before Run takes one itself.
	lookEvery = 30 * time.Second
)

// Run watches over the isolation of the interface and keeps the endpoints file up
// to date, until ctx ends; then it writes the file once more. It returns nil, or
// why the last write failed. Close comes after it.
func (d *Device) Run(ctx context.Context) error {
	guard, save := time.NewTicker(guardEvery), time.NewTicker(saveEvery)
	defer guard.Stop()
	defer save.Stop()
	for {
		select {
		case <-guard.C:
			if err := d.guard(ctx); err != nil && ctx.Err() == nil {
				d.o.Log.Error("the tunnel is not isolated, guests may reach this host: restore CAP_NET_ADMIN or stop the gateway",
					"interface", d.o.Interface, "error", err.Error())
			}
		case <-save.C:
			if err := d.keepEndpoints(ctx, lookEvery); err != nil && ctx.Err() == nil {
				d.o.Log.Warn("peers' endpoints are not kept: after a restart peers are reachable only when they speak",
					"file", d.o.EndpointsFile, "error", err.Error())
			}
		case <-ctx.Done():
			return d.keepEndpoints(context.WithoutCancel(ctx), 0)
		}
	}
}

func (d *Device) guard(ctx context.Context) error {
	return d.inTurn(ctx, func() error {
		restored, err := d.backend.guard()
		if restored && err == nil {
			d.o.Log.Warn("nftables rules of the tunnel were removed and are back: reload the firewall without flush ruleset",
				"interface", d.o.Interface, "table", tableName(d.o.Interface))
		}
		return err
	})
}

// keepEndpoints looks at the device if the last look is older than stale, and
// writes the file if anything changed.
func (d *Device) keepEndpoints(ctx context.Context, stale time.Duration) error {
	var changed map[vm.WGKey]netip.AddrPort
	err := d.inTurn(ctx, func() error {
		var err error
		if time.Since(d.dumped) >= stale {
			_, err = d.dump()
		}
		if d.unsaved && d.o.EndpointsFile != "" {
			changed = d.endpointsToSave()
			d.unsaved = false
		}
		return err
	})
	if changed == nil {
		return err
	}
	if serr := d.save(changed); serr != nil {
		// Whatever happens to the device, the next round tries again.
		_ = d.inTurn(ctx, func() error { d.unsaved = true; return nil })
		err = errors.Join(err, serr)
	}
	return err
}

// endpointsToSave is a copy. If restored endpoints that nobody asked for yet do
// not fit beside those of the peers, they are left out.
func (d *Device) endpointsToSave() map[vm.WGKey]netip.AddrPort {
	all := maps.Clone(d.endpoints)
	if len(all) > MaxPeers {
		maps.DeleteFunc(all, func(k vm.WGKey, _ netip.AddrPort) bool { return d.peers[k] == nil })
	}
	return all
}

func (d *Device) save(endpoints map[vm.WGKey]netip.AddrPort) error {
	data, err := encodeEndpoints(endpoints)
	if err == nil {
		err = replaceFile(d.o.EndpointsFile, data)
	}
	if err != nil {
		return fmt.Errorf("wg: save endpoints: %w", err)
	}
	return nil
}
