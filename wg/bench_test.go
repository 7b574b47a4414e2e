package wg

import (
	"io"
	"net/netip"
	"testing"

	"sallyport/internal/vm"
)

// crowd opens a TUN device with this many peers on a host of its own.
func crowd(b *testing.B, peers int) (*Device, []Peer) {
	b.Helper()
	d := newHost(b).open(Options{
		Mode: ModeUserspace, Interface: unusedName(), PrivateKey: newKey(b), Address: netip.MustParsePrefix("10.8.0.1/16"),
	})
	all := make([]Peer, peers)
	for i := range all {
		n := i + 2
		all[i] = Peer{Key: vm.WGKey{byte(i), byte(i >> 8), 1}, Address: netip.AddrFrom4([4]byte{10, 8, byte(n >> 8), byte(n)})}
		must(b, d.SetPeer(b.Context(), all[i]))
	}
	return d, all
}

func BenchmarkRemoveAndSetPeerOf10000(b *testing.B) {
	d, all := crowd(b, 10_000)
	for b.Loop() {
		must(b, d.RemovePeer(b.Context(), all[0].Key))
		must(b, d.SetPeer(b.Context(), all[0]))
	}
}

func BenchmarkRepeatPeer(b *testing.B) {
	d, all := crowd(b, 10)
	b.ReportAllocs()
	for b.Loop() {
		must(b, d.SetPeer(b.Context(), all[0]))
	}
}

func BenchmarkHandshakesOf10000(b *testing.B) {
	d, _ := crowd(b, 10_000)
	b.ReportAllocs()
	for b.Loop() {
		_, err := d.Handshakes(b.Context())
		must(b, err)
	}
}

// One stream to a guest and back, both ends in this process.
func BenchmarkNetstackEcho(b *testing.B) {
	gateway, _, at := netstackPair(b)
	c, err := dialThrough(b, gateway, at)
	must(b, err)
	defer c.Close()
	const chunk = 1 << 20
	b.SetBytes(chunk)
	data, back := make([]byte, chunk), make([]byte, chunk)
	for b.Loop() {
		go func() { _, _ = c.Write(data) }()
		_, err := io.ReadFull(c, back)
		must(b, err)
	}
}
