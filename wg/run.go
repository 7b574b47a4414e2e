package wg

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"sallyport/internal/atomicfile"
	"sallyport/internal/oneline"
	"sallyport/internal/vm"
)

const (
	// guardEvery is how long a fault of the tunnel or a removed isolation may go
	// unnoticed where the kernel does not report it.
	guardEvery = time.Second
	// guardPause is the least time between two looks, however often the kernel reports
	// changes: another program may undo ours as soon as it sees them.
	guardPause = 100 * time.Millisecond
	// repairsEvery is how often the same repair is logged.
	repairsEvery = 10 * time.Second
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
	var watches sync.WaitGroup
	for _, w := range d.backend.watches() {
		watches.Go(func() { d.watch(ctx, w, changes) })
	}
	defer watches.Wait()
	guard, save := time.NewTimer(d.look), time.NewTicker(saveEvery)
	defer guard.Stop()
	defer save.Stop()
	var looked time.Time
	for {
		select {
		case <-changes:
			guard.Reset(max(0, guardPause-time.Since(looked)))
		case <-guard.C:
			d.guard(ctx)
			looked = time.Now()
			guard.Reset(d.look)
		case <-save.C:
			if err := d.keepEndpoints(ctx, lookEvery); err != nil && ctx.Err() == nil {
				d.o.Log.Warn("peers' endpoints cannot be saved; after a restart, a peer is reachable only once it sends a packet",
					"file", d.o.EndpointsFile, "error", err.Error())
			}
		case <-ctx.Done():
			return d.keepEndpoints(context.WithoutCancel(ctx), 0)
		}
	}
}

// watch reports changes at once. Without it the next look finds them.
func (d *Device) watch(ctx context.Context, w watch, changes chan<- struct{}) {
	defer func() {
		if p := recover(); p != nil {
			d.o.Log.Error("bug: the tunnel is now only checked once a second", "interface", d.o.Interface, "panic", p, "stack", string(debug.Stack()))
		}
	}()
	err := w(ctx, func() {
		select {
		case changes <- struct{}{}:
		default: // one is waiting
		}
	})
	if err != nil {
		d.o.Log.Warn("the kernel does not report changes of the tunnel; it is only checked once a second", "interface", d.o.Interface, "error", err.Error())
	}
}

// guard puts back what is missing, and looks whether the tunnel is ready.
func (d *Device) guard(ctx context.Context) {
	_ = d.inTurn(ctx, func() error { // it fails only when ctx ends, or the device is closed
		r, err := d.backend.restore()
		if r.made {
			d.missAll()
		}
		err = oneline.Join(err, d.setMissing())
		d.reportRepairs(r.what)
		d.report(oneline.Join(err, d.ready()))
		return nil
	})
}

// repairs are what Run has restored lately.
type repairs struct {
	count  int // not logged yet
	parts  string
	logged time.Time
}

// reportRepairs logs what was restored, but not each time in a fight with another program.
func (d *Device) reportRepairs(what []string) {
	if len(what) == 0 {
		return
	}
	r, parts := &d.repairs, strings.Join(what, ", ")
	r.count++
	if parts == r.parts && time.Since(r.logged) < repairsEvery {
		return
	}
	d.o.Log.Warn("another program removed parts of the tunnel; they are restored",
		"interface", d.o.Interface, "parts", parts, "times", r.count)
	*r = repairs{parts: parts, logged: time.Now()}
}

// report logs what is wrong with the tunnel when that changes.
func (d *Device) report(fault error) {
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
	d.o.Log.Error("the tunnel is not ready; until it is, no new connections are made through it", "interface", d.o.Interface, "error", now)
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
		err = oneline.Join(err, serr)
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
		err = atomicfile.Replace(d.o.EndpointsFile, data, 0o600)
	}
	if err != nil {
		return fmt.Errorf("wg: save endpoints: %w", err)
	}
	return nil
}
