package wg

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"sallyport/internal/vm"
)

// fakeBackend is a device in memory that notes what it was told.
type fakeBackend struct {
	noTunnel
	told   []change
	state  state
	fail   func(change) error
	dumpOK error
	fault  error
	mend   restored
}

func (f *fakeBackend) apply(c change) error {
	f.told = append(f.told, c)
	if f.fail != nil {
		if err := f.fail(c); err != nil {
			return err
		}
	}
	if c.remove {
		delete(f.state.peers, c.key)
		return nil
	}
	p := f.state.peers[c.key]
	p.address = c.address
	if c.endpoint.IsValid() {
		p.endpoint = c.endpoint
	}
	f.state.peers[c.key] = p
	return nil
}

func (f *fakeBackend) restore() (restored, error) { return f.mend, nil }

func (f *fakeBackend) ready() error { return f.fault }

func (f *fakeBackend) dump() (state, error) { return f.state, f.dumpOK }

func fakeDevice(t *testing.T, peers map[vm.WGKey]peerState) (*Device, *fakeBackend) {
	t.Helper()
	if peers == nil {
		peers = make(map[vm.WGKey]peerState)
	}
	f := &fakeBackend{state: state{peers: peers}}
	d, err := open(t.Context(), Options{
		Mode: ModeKernel, Interface: "wg-test", PrivateKey: newKey(t), Address: netip.MustParsePrefix("10.8.0.1/16"),
	}, map[Mode]opener{ModeKernel: func(Options) (backend, error) { return f, nil }})
	must(t, err)
	return d, f
}

func peerNumber(n byte) Peer {
	return Peer{Key: keyNumber(n), Address: netip.AddrFrom4([4]byte{10, 8, 1, n})}
}

func TestRefusedPeersNeverReachTheDevice(t *testing.T) {
	d, f := fakeDevice(t, nil)
	must(t, d.SetPeer(t.Context(), peerNumber(1)))
	for name, p := range map[string]Peer{
		"the address of another": {Key: keyNumber(2), Address: peerNumber(1).Address},
		"the gateway's own key":  {Key: d.PublicKey(), Address: peerNumber(2).Address},
		"no key":                 {Address: peerNumber(2).Address},
		"the gateway's address":  {Key: keyNumber(2), Address: netip.MustParseAddr("10.8.0.1")},
		"an address outside":     {Key: keyNumber(2), Address: netip.MustParseAddr("10.9.0.1")},
		"no address":             {Key: keyNumber(2)},
		"IPv6":                   {Key: keyNumber(2), Address: netip.MustParseAddr("fd00::2")},
		"mapped IPv4":            {Key: keyNumber(2), Address: netip.MustParseAddr("::ffff:10.8.0.2")},
		"an impossible endpoint": {Key: keyNumber(2), Address: peerNumber(2).Address, Endpoint: netip.MustParseAddrPort("0.0.0.0:1")},
	} {
		t.Run(name, func(t *testing.T) {
			before := len(f.told)
			if err := d.SetPeer(t.Context(), p); err == nil {
				t.Error("accepted")
			}
			if len(f.told) != before {
				t.Error("the device was told")
			}
		})
	}
}

func TestRepeatTouchesNothing(t *testing.T) {
	d, f := fakeDevice(t, nil)
	for range 3 {
		must(t, d.SetPeer(t.Context(), peerNumber(1)))
	}
	if len(f.told) != 1 {
		t.Errorf("the device was told %d times", len(f.told))
	}
}

func TestAddressIsFreeAfterRemoval(t *testing.T) {
	d, _ := fakeDevice(t, nil)
	must(t, d.SetPeer(t.Context(), peerNumber(1)))
	must(t, d.RemovePeer(t.Context(), keyNumber(1)))
	must(t, d.SetPeer(t.Context(), Peer{Key: keyNumber(2), Address: peerNumber(1).Address}))
}

func TestAddressIsFreeAfterMove(t *testing.T) {
	d, f := fakeDevice(t, nil)
	must(t, d.SetPeer(t.Context(), peerNumber(1)))
	must(t, d.SetPeer(t.Context(), Peer{Key: keyNumber(1), Address: peerNumber(2).Address}))
	must(t, d.SetPeer(t.Context(), Peer{Key: keyNumber(2), Address: peerNumber(1).Address}))
	if f.told[1].endpoint.IsValid() {
		t.Error("the move overwrote the endpoint")
	}
}

func TestRemovingUnknownPeerIsNoError(t *testing.T) {
	d, _ := fakeDevice(t, nil)
	must(t, d.RemovePeer(t.Context(), keyNumber(9)))
}

func TestHalfMadePeerIsRemovedAndMadeAgain(t *testing.T) {
	d, f := fakeDevice(t, nil)
	broken := errors.New("broken")
	f.fail = func(c change) error {
		if c.remove {
			return nil
		}
		return broken
	}
	if err := d.SetPeer(t.Context(), peerNumber(1)); !errors.Is(err, broken) {
		t.Fatalf("error %v", err)
	}
	if last := f.told[len(f.told)-1]; !last.remove {
		t.Errorf("last step %+v, want a removal", last)
	}
	f.fail = nil
	must(t, d.SetPeer(t.Context(), Peer{Key: keyNumber(2), Address: peerNumber(1).Address}))
	must(t, d.SetPeer(t.Context(), Peer{Key: keyNumber(1), Address: peerNumber(2).Address}))
}

func TestPeersOfEarlierRunAreAdopted(t *testing.T) {
	endpoint := netip.MustParseAddrPort("203.0.113.9:51820")
	shook := time.Now().Add(-time.Minute).Round(0)
	d, f := fakeDevice(t, map[vm.WGKey]peerState{
		keyNumber(1): {address: peerNumber(1).Address, endpoint: endpoint, handshake: shook},
		keyNumber(2): {address: peerNumber(2).Address},
		keyNumber(3): {}, // not as we make them
	})
	must(t, d.RemovePeersExcept(t.Context(), []vm.WGKey{keyNumber(1), keyNumber(3)}))
	if len(f.told) != 1 || f.told[0].key != keyNumber(2) || !f.told[0].remove {
		t.Fatalf("told %+v, want peer 2 removed", f.told)
	}
	for _, n := range []byte{1, 3} {
		must(t, d.SetPeer(t.Context(), peerNumber(n)))
	}
	if len(f.told) != 2 || f.told[1].key != keyNumber(3) {
		t.Errorf("told %+v, want peer 3 set and peer 1 left alone", f.told)
	}
	at, err := d.Handshakes(t.Context())
	must(t, err)
	if age := time.Since(at[keyNumber(1)]); age < time.Minute || age > 2*time.Minute {
		t.Errorf("age %s of a handshake a minute ago", age)
	}
	if at, ok := at[keyNumber(3)]; !ok || !at.IsZero() {
		t.Errorf("peer 3: handshake %s, known %t", at, ok)
	}
}

func TestRestoredEndpointIsForNewPeersAlone(t *testing.T) {
	d, f := fakeDevice(t, nil)
	d.endpoints = sampleEndpoints()
	must(t, d.SetPeer(t.Context(), peerNumber(1)))
	if f.told[0].endpoint != sampleEndpoints()[keyNumber(1)] {
		t.Errorf("endpoint %s", f.told[0].endpoint)
	}
	must(t, d.RemovePeer(t.Context(), keyNumber(1)))
	must(t, d.SetPeer(t.Context(), peerNumber(1)))
	if last := f.told[len(f.told)-1]; last.endpoint.IsValid() {
		t.Errorf("a removed peer's endpoint %s came back", last.endpoint)
	}
}

func TestRoamingAndFailedDumpsAreCounted(t *testing.T) {
	d, f := fakeDevice(t, nil)
	must(t, d.SetPeer(t.Context(), peerNumber(1)))
	see := func(endpoint string) {
		f.state.peers[keyNumber(1)] = peerState{address: peerNumber(1).Address, endpoint: netip.MustParseAddrPort(endpoint)}
		_, err := d.Handshakes(t.Context())
		must(t, err)
	}
	see("203.0.113.9:1")
	see("203.0.113.9:1")
	see("203.0.113.9:2")
	f.dumpOK = errors.New("no answer")
	if _, err := d.Handshakes(t.Context()); !errors.Is(err, f.dumpOK) {
		t.Errorf("error %v", err)
	}
	var text []string
	for _, c := range d.Collectors() {
		text = append(text, fmt.Sprint(testutil.ToFloat64(c)))
	}
	if got := strings.Join(text, " "); got != "1 1 1" {
		t.Errorf("peers, roams, failures = %s, want 1 1 1", got)
	}
}

func TestFullDeviceTakesNoMore(t *testing.T) {
	peers := make(map[vm.WGKey]peerState, MaxPeers)
	for i := range MaxPeers {
		peers[vm.WGKey{byte(i), byte(i >> 8), 1}] = peerState{}
	}
	d, _ := fakeDevice(t, peers)
	if err := d.SetPeer(t.Context(), peerNumber(1)); err == nil {
		t.Error("one peer too many")
	}
}

func TestWaitingForTheDeviceEndsWithTheContext(t *testing.T) {
	d, _ := fakeDevice(t, nil)
	d.turn <- struct{}{}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := d.SetPeer(ctx, peerNumber(1)); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	<-d.turn
}

func TestClosedDeviceAnswersWithAnError(t *testing.T) {
	d, _ := fakeDevice(t, nil)
	must(t, d.Close())
	must(t, d.Close())
	if err := d.SetPeer(t.Context(), peerNumber(1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("SetPeer: %v", err)
	}
	if err := d.Ready(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Ready: %v", err)
	}
}
