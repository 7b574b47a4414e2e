package wg

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
)

// onKernel skips a test of what only the kernel's WireGuard does.
func onKernel(t *testing.T) {
	t.Helper()
	if tunnelMode() != ModeKernel {
		t.Skip("of the kernel's WireGuard alone: make test-kernel runs it")
	}
}

// A kernel waits for each peer of an interface that it removes (1,000 peers: 18.0 s,
// and 0.17 s for Close). It is compared with itself: a busy one takes longer for both.
func TestCloseDoesNotWaitForEachPeer(t *testing.T) {
	onKernel(t)
	const peers = 200
	h := newHost(t)
	took := func(remove func(*Device)) time.Duration {
		o := autoOptions(t)
		o.Mode = ModeKernel
		d := h.open(o)
		for n := range uint32(peers) {
			p := Peer{Address: netip.AddrFrom4([4]byte{10, 8, 1, byte(n)})}
			binary.BigEndian.PutUint32(p.Key[:], n+1)
			must(t, d.SetPeer(t.Context(), p))
		}
		start := time.Now()
		remove(d)
		return time.Since(start)
	}
	alone := took(func(d *Device) {
		h.do(func() {
			link, err := netlink.LinkByName(d.Name())
			must(t, err)
			must(t, netlink.LinkDel(link))
		})
	})
	ours := took(func(d *Device) { must(t, d.Close()) })
	t.Logf("%d peers: the interface %s, Close %s", peers, alone, ours)
	if ours > alone/2 {
		t.Errorf("Close took %s, the removal of the interface alone %s", ours, alone)
	}
}
