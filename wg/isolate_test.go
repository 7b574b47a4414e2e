package wg

import (
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
	"golang.zx2c4.com/wireguard/wgctrl"
	"golang.zx2c4.com/wireguard/wgctrl/wgtypes"

	"sallyport/wg/isolate"
)

// hostileSite has two guests that send whatever they like into the tunnel, and a
// gateway that routes: forwarding is on, as on a host with containers. Nothing
// filters but the table.
func hostileSite(t *testing.T, filtered bool) *site {
	t.Helper()
	return hostileSiteOf(t, func(s *site) {
		s.options.Guest = !filtered
		s.open()
		s.openIngress()
	})
}

// openIngress takes away what a kernel interface refuses by itself.
func (s *site) openIngress() {
	s.t.Helper()
	s.gateway.do(func() {
		link, err := netlink.LinkByName(s.options.Interface)
		must(s.t, err)
		all, err := netlink.QdiscList(link)
		must(s.t, err)
		for _, q := range all {
			if q.Type() == "clsact" {
				must(s.t, netlink.QdiscDel(q))
			}
		}
	})
}

// hostileSiteOf is one whose gateway is opened by open.
func hostileSiteOf(t *testing.T, open func(*site)) *site {
	t.Helper()
	s := newSite(t)
	open(s)
	s.gateway.do(func() { must(t, os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0)) })
	for _, g := range s.guests {
		s.join(g)
		var all []net.IPNet
		for _, n := range []string{"10.8.0.0/16", "192.0.2.0/24", "198.51.100.0/24"} {
			_, ipn, err := net.ParseCIDR(n)
			must(t, err)
			all = append(all, *ipn)
		}
		g.control(func(c *wgctrl.Client) error {
			return c.ConfigureDevice(g.device.Name(), wgtypes.Config{Peers: []wgtypes.PeerConfig{{
				PublicKey: wgtypes.Key(g.gateway.Key), UpdateOnly: true, AllowedIPs: all,
			}}})
		})
	}
	return s
}

// victims are what a guest might want to reach through the tunnel.
func victims(s *site) map[string]netip.AddrPort {
	port := func(at netip.AddrPort, ip netip.Addr) netip.AddrPort { return netip.AddrPortFrom(ip, at.Port()) }
	return map[string]netip.AddrPort{
		"a port on all of the gateway's addresses": port(s.gateway.echo("0.0.0.0:0"), s.options.Address.Addr()),
		"a port on the gateway's tunnel address":   s.gateway.echo("10.8.0.1:0"),
		"another guest":                            s.guests[1].echo("10.8.0.3:0"),
	}
}

func TestGuestReachesNothingThroughTunnel(t *testing.T) {
	s := hostileSite(t, true)
	for what, at := range victims(s) {
		if c, err := s.guests[0].dial(at, 500*time.Millisecond); err == nil {
			c.Close()
			t.Errorf("guest reached %s", what)
		}
	}
	input, forward := dropped(s, "guests"), dropped(s, "forward")
	if input == 0 || forward == 0 {
		t.Errorf("dropped %d packets to the gateway, %d to others: the guest's packets never came", input, forward)
	}
	// And the tunnel works all the same: replies pass.
	for _, g := range s.guests {
		c, err := s.gateway.dial(g.echo(g.address.String()+":0"), patience)
		must(t, err)
		mustEcho(t, c)
	}
}

// Without the rules the same guest reaches all of it: so it is the rules that hold.
func TestUnfilteredTunnelWouldLetGuestIn(t *testing.T) {
	s := hostileSite(t, false)
	for what, at := range victims(s) {
		c, err := s.guests[0].dial(at, patience)
		if err != nil {
			t.Errorf("guest did not reach %s: %v", what, err)
			continue
		}
		mustEcho(t, c)
	}
}

func TestGuestGetsNoAnswerToDatagrams(t *testing.T) {
	for _, filtered := range []bool{true, false} {
		s := hostileSite(t, filtered)
		var at net.PacketConn
		s.gateway.do(func() {
			var err error
			at, err = net.ListenPacket("udp4", "10.8.0.1:0")
			must(t, err)
		})
		defer at.Close()
		s.guests[0].do(func() {
			c, err := net.Dial("udp4", at.LocalAddr().String())
			must(t, err)
			defer c.Close()
			_, err = c.Write([]byte("anybody there?"))
			must(t, err)
		})
		if filtered {
			eventually(t, "the datagram is dropped", func() bool { return dropped(s, "guests") > 0 })
			continue
		}
		must(t, at.SetReadDeadline(time.Now().Add(patience)))
		if _, _, err := at.ReadFrom(make([]byte, 100)); err != nil {
			t.Errorf("without the rules: %v", err)
		}
	}
}

// A segment with ACK alone passes the rules. It opens nothing: the gateway's
// kernel answers with RST, as it must for replies to connections it forgot.
func TestGuestCannotOpenConnectionWithoutSYN(t *testing.T) {
	s := hostileSite(t, true)
	at := s.gateway.echo("10.8.0.1:0")
	s.guests[0].do(func() {
		raw, err := net.ListenIP("ip4:tcp", &net.IPAddr{IP: net.IP(s.guests[0].address.AsSlice())})
		must(t, err)
		defer raw.Close()
		const rst, syn, ack = 0x04, 0x02, 0x10
		for _, flags := range []byte{ack, syn | ack} {
			_, err = raw.WriteTo(segment(s.guests[0].address, at, flags), &net.IPAddr{IP: net.IP(at.Addr().AsSlice())})
			must(t, err)
			must(t, raw.SetReadDeadline(time.Now().Add(patience)))
			answer := make([]byte, 100)
			if _, _, err := raw.ReadFrom(answer); err != nil || answer[13]&rst == 0 {
				t.Errorf("flags %#x: answer has flags %#x, %v", flags, answer[13], err)
			}
		}
	})
}

// segment is a TCP header with these flags and a right checksum (RFC 9293, 3.1).
func segment(from netip.Addr, to netip.AddrPort, flags byte) []byte {
	s := make([]byte, 20)
	s[0], s[1] = 0xc0, 0x01
	s[2], s[3] = byte(to.Port()>>8), byte(to.Port())
	s[11], s[12], s[13], s[14] = 1, 5<<4, flags, 0xff
	sum := uint32(unix.IPPROTO_TCP) + uint32(len(s))
	add := func(b []byte) {
		for i := 0; i < len(b); i += 2 {
			sum += uint32(b[i])<<8 | uint32(b[i+1])
		}
	}
	a, b := from.As4(), to.Addr().As4()
	add(a[:])
	add(b[:])
	add(s)
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	s[16], s[17] = byte(^sum>>8), byte(^sum)
	return s
}

func TestStaleRulesOfEarlierRunAreReplaced(t *testing.T) {
	s := newSite(t)
	s.gateway.nft(func(c *nftables.Conn) {
		table := c.AddTable(&nftables.Table{Name: isolate.TableName(s.options.Interface), Family: nftables.TableFamilyINet})
		c.AddChain(&nftables.Chain{Name: "stale", Table: table})
	})
	s.open()
	var names []string
	s.gateway.do(func() {
		c, err := nftables.New()
		must(t, err)
		chains, err := c.ListChains()
		must(t, err)
		for _, c := range chains {
			names = append(names, c.Name)
		}
	})
	if slices.Sort(names); !slices.Equal(names, []string{"forward", "guests", "input", "output"}) {
		t.Errorf("chains %q", names)
	}
	s.join(s.guests[0])
}

func TestOpenFailsWhereIsolationIsNotPossible(t *testing.T) {
	s := newSite(t)
	s.gateway.do(func() {
		dropCapability(t, unix.CAP_NET_ADMIN) // of this thread, which ends with do
		_, err := Open(t.Context(), s.options)
		if err == nil || !strings.Contains(err.Error(), "mode netstack works without") {
			t.Errorf("error %v", err)
		}
	})
}

// dropped counts the packets that the chain's drop rules took.
func dropped(s *site, chain string) (n uint64) {
	s.gateway.do(func() {
		c, err := nftables.New()
		must(s.t, err)
		table := &nftables.Table{Name: isolate.TableName(s.options.Interface), Family: nftables.TableFamilyINet}
		rules, err := c.GetRules(table, &nftables.Chain{Name: chain, Table: table})
		must(s.t, err)
		for _, r := range rules {
			last, ok := r.Exprs[len(r.Exprs)-1].(*expr.Verdict)
			if ok && last.Kind == expr.VerdictDrop {
				n += r.Exprs[len(r.Exprs)-2].(*expr.Counter).Packets
			}
		}
	})
	return n
}

func dropCapability(t *testing.T, capability uint) {
	t.Helper()
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var caps [2]unix.CapUserData
	must(t, unix.Capget(&head, &caps[0]))
	caps[capability/32].Effective &^= 1 << (capability % 32)
	must(t, unix.Capset(&head, &caps[0]))
}
