package wg

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"runtime/debug"
	"sync"
	"time"

	"sallyport/internal/vm"
)

const (
	// guardEvery is how long a fault of the tunnel or a removed isolation may go
	// unnoticed.
	guardEvery = time.Second
	// saveEvery is how often the endpoints file is written, if anything changed. A
	// guest whose endpoint is lost in a crash does not notice for two minutes.
	saveEvery = time.Second
	// lookEvery is how old a dump may get before Run takes one itself.
	lookEvery = 30 * time.Second
)

// Run watches over the interface and its isolation, and keeps the endpoints file
// up to date, until ctx ends; then it writes the file once more. It returns nil, or
// why the last write failed. Close comes after it.
func (d *Device) Run(ctx context.Context) error {
	changes := make(chan struct{}, 1)
	var watch sync.WaitGroup
	watch.Go(func() { d.watch(ctx, changes) })
	defer watch.Wait()
	guard, save := time.NewTicker(guardEvery), time.NewTicker(saveEvery)
	defer guard.Stop()
	defer save.Stop()
	for {
		select {
		case <-guard.C:
			d.guard(ctx)
		case <-changes:
			d.guard(ctx)
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

// watch tells of changes as they come. Without it they are seen by the next look.
func (d *Device) watch(ctx context.Context, changes chan<- struct{}) {
	defer func() {
		if p := recover(); p != nil {
			d.o.Log.Error("a bug: the tunnel is looked at each second alone", "interface", d.o.Interface, "panic", p, "stack", string(debug.Stack()))
		}
	}()
	err := d.backend.watch(ctx, func() {
		select {
		case changes <- struct{}{}:
		default: // one is waiting
		}
	})
	if err != nil {
		d.o.Log.Warn("changes of the tunnel are not told by the kernel: it is looked at each second alone", "interface", d.o.Interface, "error", err.Error())
	}
}

// guard puts back what is missing, and looks whether the tunnel is ready.
func (d *Device) guard(ctx context.Context) {
	_ = d.inTurn(ctx, func() error { // it fails only when ctx ends, or the device is closed
		restored, err := d.backend.guard()
		if restored && err == nil {
			d.o.Log.Warn("nftables rules of the tunnel were removed and are back: reload the firewall without flush ruleset",
				"interface", d.o.Interface, "table", tableName(d.o.Interface))
		}
		d.tell(errors.Join(err, d.backend.ready()))
		return nil
	})
}

// tell logs what is wrong with the tunnel when that changes.
func (d *Device) tell(fault error) {
	now := ""
	if fault != nil {
		now = fault.Error()
	}
	if now == d.fault {
		return
	}
	d.fault = now
	if fault == nil {
		d.o.Log.Info("the tunnel is ready again", "interface", d.o.Interface)
		return
	}
	d.o.Log.Error("the tunnel is not ready: until it is, no new connection is made through it", "interface", d.o.Interface, "error", now)
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
