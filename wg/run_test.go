package wg

import (
	"context"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"
)

// running runs d until the function it returns is called.
func running(t *testing.T, d *Device) (stop func() error) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- d.Run(ctx) }()
	return func() error { cancel(); return <-done }
}

func TestRunKeepsEndpointsOnDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, f := fakeDevice(t, nil)
		d.o.EndpointsFile = filepath.Join(t.TempDir(), "endpoints")
		must(t, d.SetPeer(t.Context(), peerNumber(1)))
		stop := running(t, d)
		learn := func(endpoint string) {
			must(t, d.inTurn(t.Context(), func() error {
				f.state.peers[keyNumber(1)] = peerState{address: peerNumber(1).Address, endpoint: netip.MustParseAddrPort(endpoint)}
				return nil
			}))
		}
		saved := func() netip.AddrPort {
			got, err := readEndpoints(d.o.EndpointsFile)
			if err != nil && !os.IsNotExist(err) {
				t.Fatal(err)
			}
			return got[keyNumber(1)]
		}
		learn("203.0.113.9:1")
		time.Sleep(31 * time.Second) //nolint:forbidigo // the bubble's clock
		synctest.Wait()
		if got := saved(); got.Port() != 1 {
			t.Errorf("after 31 s: %s", got)
		}
		learn("203.0.113.9:2")
		if _, err := d.Handshakes(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second) //nolint:forbidigo // the bubble's clock
		synctest.Wait()
		if got := saved(); got.Port() != 2 {
			t.Errorf("5 s after somebody else looked: %s", got)
		}
		learn("203.0.113.9:3")
		must(t, stop())
		if got := saved(); got.Port() != 3 {
			t.Errorf("after the end: %s", got)
		}
	})
}

func TestUnchangedEndpointsAreNotWrittenAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, _ := fakeDevice(t, nil)
		d.o.EndpointsFile = filepath.Join(t.TempDir(), "endpoints")
		stop := running(t, d)
		time.Sleep(5 * time.Minute) //nolint:forbidigo // the bubble's clock
		must(t, stop())
		if _, err := os.Stat(d.o.EndpointsFile); err == nil {
			t.Error("written without need")
		}
	})
}

func TestFailedSaveIsTriedAgainAndReturnedAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, _ := fakeDevice(t, nil)
		dir := filepath.Join(t.TempDir(), "later")
		d.o.EndpointsFile = filepath.Join(dir, "endpoints")
		d.endpoints, d.unsaved = sampleEndpoints(), true
		stop := running(t, d)
		time.Sleep(6 * time.Second) //nolint:forbidigo // the bubble's clock
		synctest.Wait()
		must(t, os.Mkdir(dir, 0o700))
		time.Sleep(5 * time.Second) //nolint:forbidigo // the bubble's clock
		synctest.Wait()
		got, err := readEndpoints(d.o.EndpointsFile)
		if err != nil || !maps.Equal(got, sampleEndpoints()) {
			t.Errorf("saved %v, %v", got, err)
		}
		must(t, os.RemoveAll(dir))
		must(t, d.RemovePeer(t.Context(), keyNumber(1)))
		if err := stop(); err == nil {
			t.Error("the last save failed silently")
		}
	})
}
