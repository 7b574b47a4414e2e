package wg

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"sallyport/internal/vm"
)

const dumpText = `private_key=e84b5a6d2717c1003a13b431570353dbaca9146cf150c5f8575680feba52027a
listen_port=12912
public_key=b85996fecc9c7f1fc6d2572a76eda11d59bcd20be8e543b15ce4bd85a8e75a33
preshared_key=188515093e952f5f22e865cef3012e72f8b5f0b598ac0309d5dacce3b70fcf52
protocol_version=1
endpoint=[abcd:23::33]:51820
last_handshake_time_sec=1700000000
last_handshake_time_nsec=5
tx_bytes=38333
rx_bytes=2224
persistent_keepalive_interval=25
allowed_ip=10.8.0.2/32
public_key=58402e695ba1772b1cc9309755f043251ea77fdcf10fbe63989ceb7e19321376
last_handshake_time_sec=0
last_handshake_time_nsec=0
persistent_keepalive_interval=25
allowed_ip=10.8.0.3/32
allowed_ip=10.8.0.4/32
`

func TestDumpIsRead(t *testing.T) {
	s, err := parseDump(strings.NewReader(dumpText))
	must(t, err)
	if s.listenPort != 12912 || len(s.peers) != 2 {
		t.Fatalf("got %+v", s)
	}
	for key, p := range s.peers {
		want := peerState{}
		if key[0] == 0xb8 {
			want = peerState{netip.MustParseAddr("10.8.0.2"), netip.MustParseAddrPort("[abcd:23::33]:51820"), time.Unix(1700000000, 5)}
		}
		if p != want {
			t.Errorf("peer %s: got %+v, want %+v", key, p, want)
		}
	}
}

func TestBrokenDumpIsRefused(t *testing.T) {
	peer := "public_key=" + strings.Repeat("ab", 32) + "\n"
	for name, text := range map[string]string{
		"no equals sign":    "listen_port\n",
		"key too short":     "public_key=abcd\n",
		"key not hex":       "public_key=" + strings.Repeat("x", 64) + "\n",
		"port too high":     "listen_port=65536\n",
		"handshake absurd":  peer + "last_handshake_time_sec=18446744073709551615\n",
		"handshake neg.":    peer + "last_handshake_time_sec=-1\n",
		"nanoseconds":       peer + "last_handshake_time_nsec=1000000000\n",
		"endpoint a name":   peer + "endpoint=example.com:1\n",
		"address not a net": peer + "allowed_ip=10.8.0.2\n",
		"endless line":      strings.Repeat("a", maxUAPILine+1),
	} {
		t.Run(name, func(t *testing.T) {
			if s, err := parseDump(strings.NewReader(text)); err == nil || s.peers != nil {
				t.Errorf("got %+v, %v", s, err)
			}
		})
	}
}

func TestDumpOfTooManyPeersIsRefused(t *testing.T) {
	var b strings.Builder
	for i := range MaxPeers + 1 {
		fmt.Fprintf(&b, "public_key=%064x\n", i+1)
	}
	if _, err := parseDump(strings.NewReader(b.String())); err == nil {
		t.Error("accepted")
	}
}

// What a change says is what a dump tells of it.
func TestChangeReadsBackFromDump(t *testing.T) {
	c := change{key: vm.WGKey{1, 2, 3}, address: netip.MustParseAddr("10.8.0.9"), endpoint: netip.MustParseAddrPort("203.0.113.9:51820")}
	s, err := parseDump(strings.NewReader(c.text()))
	must(t, err)
	if want := (peerState{address: c.address, endpoint: c.endpoint}); s.peers[c.key] != want {
		t.Errorf("got %+v, want %+v", s.peers[c.key], want)
	}
}

func FuzzDump(f *testing.F) {
	f.Add(dumpText)
	f.Fuzz(func(t *testing.T, text string) {
		s, err := parseDump(strings.NewReader(text))
		if (err == nil) == (s.peers == nil) {
			t.Errorf("both or neither of %+v and %v", s, err)
		}
		for _, p := range s.peers {
			if p.address.IsValid() && !p.address.Is4() {
				t.Errorf("address %s", p.address)
			}
		}
	})
}
