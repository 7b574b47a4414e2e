package guest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"sallyport/internal/vm"
)

// device is a fake that notes what becomes of it.
type device struct {
	address netip.Prefix
	peers   []Peer
	seen    map[vm.WGKey]time.Time
	closed  bool
	listen  net.Listener // what Listen returns; nil: none
}

func (d *device) Address() netip.Prefix { return d.address }

func (d *device) SetPeer(_ context.Context, p Peer) error {
	d.peers = append(d.peers, p)
	return nil
}

func (d *device) RemovePeersExcept(context.Context, []vm.WGKey) error {
	d.peers = nil
	return nil
}

func (d *device) Handshakes(context.Context) (map[vm.WGKey]time.Time, error) { return d.seen, nil }

func (d *device) Listen(netip.AddrPort) (net.Listener, error) {
	if d.listen == nil {
		return nil, errors.ErrUnsupported
	}
	return d.listen, nil
}

func (d *device) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

func (d *device) Close() error {
	d.closed = true
	return nil
}

// granted is a grant of an address by servers in the tunnel.
func granted(t *testing.T, address string, servers ...string) Grant {
	t.Helper()
	g := Grant{Address: netip.MustParseAddr(address)}
	for i, s := range servers {
		g.Servers = append(g.Servers, Server{Key: vm.WGKey{byte(i + 1)}, Address: netip.MustParsePrefix(s), Endpoint: fmt.Sprintf("127.0.0.1:%d", i+1)})
	}
	return g
}

func TestNetworkHasADeviceForEachAddress(t *testing.T) {
	var made []*device
	served := make(chan netip.Prefix, 2)
	n := Network{
		Open: func(_ context.Context, address netip.Prefix) (Device, error) {
			made = append(made, &device{address: address, seen: map[vm.WGKey]time.Time{{1}: time.Unix(1, 0), {2}: time.Unix(2, 0)}})
			return made[len(made)-1], nil
		},
		Serve: func(ctx context.Context, d Device) error {
			<-ctx.Done()
			served <- d.Address()
			return nil
		},
	}
	if at, err := n.LastHandshake(t.Context()); err != nil || !at.IsZero() {
		t.Errorf("without a device: %v, %v", at, err)
	}
	for _, address := range []string{"10.1.0.2", "10.1.0.2", "10.1.0.3"} {
		if err := n.Apply(t.Context(), granted(t, address, "10.1.0.1/24"), false); err != nil {
			t.Fatal(err)
		}
	}
	if len(made) != 2 || !made[0].closed || made[1].closed || <-served != netip.MustParsePrefix("10.1.0.2/30") {
		t.Fatalf("%d devices, %+v", len(made), made)
	}
	want := []Peer{{Key: vm.WGKey{1}, Address: netip.MustParseAddr("10.1.0.1"), Endpoint: netip.MustParseAddrPort("127.0.0.1:1")}}
	if !reflect.DeepEqual(made[1].peers, want) {
		t.Errorf("peers %+v, want %+v", made[1].peers, want)
	}
	if at, err := n.LastHandshake(t.Context()); err != nil || !at.Equal(time.Unix(2, 0)) {
		t.Errorf("last handshake %v, %v", at, err)
	}
	if err := n.Close(); err != nil || !made[1].closed {
		t.Errorf("close: %v", err)
	}
	if err := n.Close(); err != nil {
		t.Errorf("close again: %v", err)
	}
}

func TestDeviceThatCannotBeMadeIsTriedAgain(t *testing.T) {
	broken := errors.New("no device")
	n := Network{
		Open:  func(context.Context, netip.Prefix) (Device, error) { return nil, broken },
		Serve: func(context.Context, Device) error { return nil },
	}
	for range 2 {
		if err := n.Apply(t.Context(), granted(t, "10.1.0.2", "10.1.0.1/24"), false); !errors.Is(err, broken) {
			t.Error(err)
		}
	}
	if err := n.Close(); err != nil {
		t.Error(err)
	}
}

func TestNetworkIsTheSmallestWithAllGateways(t *testing.T) {
	for want, g := range map[string]Grant{
		"10.1.0.2/30": granted(t, "10.1.0.2", "10.1.0.1/24"),
		"10.1.0.2/16": granted(t, "10.1.0.2", "10.1.0.1/8", "10.1.200.1/8"),
		"10.1.0.2/8":  granted(t, "10.1.0.2", "10.255.0.1/8"),
		"":            granted(t, "10.1.0.2", "11.0.0.1/7"),
	} {
		got, err := prefixOf(g)
		if (err == nil) != (want != "") || err == nil && got.String() != want {
			t.Errorf("%v, %v, want %q", got, err, want)
		}
	}
}

func TestForwardingIsRead(t *testing.T) {
	for text, want := range map[string]Forwarding{
		"a:80": {80, "a:80"}, "8=[::1]:90": {8, "[::1]:90"},
		"": {}, "a": {}, "a:0": {}, "0=a:1": {}, "1=a": {}, "1=a:65536": {}, "=a:1": {}, "x=a:1": {}, "a:b": {},
	} {
		if got, err := ParseForwarding(text); got != want || (err == nil) != (want != Forwarding{}) {
			t.Errorf("%q: %+v, %v, want %+v", text, got, err, want)
		}
	}
}
