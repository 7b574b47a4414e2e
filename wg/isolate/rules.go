package isolate

import (
	"encoding/binary"
	"net/netip"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"sallyport/wg/nft"
)

// Guests are hostile. Through its tunnel a guest may answer the gateway and do
// nothing else: it reaches no port of the gateway, no other guest, and none of the
// gateway's networks. And only the gateway reaches guests through the tunnel. The
// table inet sallyport-<interface> enforces both:
//
//	input    from the interface                             goto guests
//	         from elsewhere with a tunnel address           drop
//	guests   IPv4 TCP with ACK or RST                       accept
//	         ICMP echo replies                              accept
//	         ICMP errors about the gateway's TCP to guests  accept
//	         everything else                                drop
//	forward  from or to it, or with a tunnel address        drop
//	output   to it, of another user's socket                drop
//
// A TCP connection begins with a segment that has neither ACK nor RST (RFC 9293,
// 3.10.7.2: a listener answers anything else by RST or not at all), so none can
// begin from there. (Guessing a SYN cookie is left: about 2^-29 per try, and only
// at a listener whose queue overflowed in the last two minutes.)
//
// An ICMP error quotes what it is about. About an echo request or a datagram of
// ours the kernel believes it whatever the address, and lowers the path MTU to a
// client or to another guest. About a TCP segment it wants our port and a sequence
// number that is under way (RFC 5927, 4.1), which only the peer knows.
//
// "ct state established" would say it in one rule, and is left out on purpose: one
// such rule makes the kernel track every connection of the host, the clients' too.
// Measured on loopback, that is 6 % of the CPU of a 64-byte exchange (14.9 against
// 14.0 us; rules such as these: 14.2). Worse, it is two entries per relayed connection
// in a table of 262,144 by default, which a flood of SYNs fills too; then every new
// connection is dropped. And without it a guest that still holds connections from
// before a reboot of the gateway gets its RST.
//
// Other tables of the host may drop more packets, never fewer.

// rules returns the chains for the interface of this index, the gateway's address
// with the tunnel network, and the gateway's user.
func rules(index int, own netip.Prefix, user int) []nft.Chain {
	from, to := equal(meta(expr.MetaKeyIIF), native(index)...), equal(meta(expr.MetaKeyOIF), native(index)...)
	fromGuest := join(isIPv4(), within(networkField(sourceAddress), own))
	guests := nft.Chain{Name: "guests"}
	for _, match := range replies(own) {
		guests.Rules = append(guests.Rules, join(match, accept()))
	}
	guests.Rules = append(guests.Rules, drop())
	return []nft.Chain{
		{Name: "input", Hook: nftables.ChainHookInput, Rules: [][]expr.Any{
			join(from, []expr.Any{&expr.Verdict{Kind: expr.VerdictGoto, Chain: guests.Name}}),
			join(fromGuest, unlike(meta(expr.MetaKeyIIF), native(loopbackIndex)...), drop()),
		}},
		guests,
		{Name: "forward", Hook: nftables.ChainHookForward, Rules: [][]expr.Any{join(from, drop()), join(to, drop()), join(fromGuest, drop())}},
		// The kernel's own packets have no socket with a user, and pass.
		{Name: "output", Hook: nftables.ChainHookOutput, Rules: [][]expr.Any{
			join(to, unlike(meta(expr.MetaKeySKUID), native(user)...), drop()),
		}},
	}
}

// loopbackIndex is the same in each network namespace (LOOPBACK_IFINDEX).
const loopbackIndex = 1

// replies returns the matches of packets that can be answers.
func replies(own netip.Prefix) [][]expr.Any {
	const (
		flags          = 13 // the offset of a TCP header's flags
		tcpRST, tcpACK = 0x04, 0x10
		echoReply      = 0
		unreachable    = 3 // carries "fragmentation needed", for path MTU discovery
		timeExceeded   = 11
		badParameter   = 12
		quoted         = 8 // where an ICMP error has the IP header that it is about
	)
	address := own.Addr().As4()
	about := join(
		equal(transportField(quoted+protocolField, 1), unix.IPPROTO_TCP),
		equal(transportField(quoted+sourceAddress, 4), address[:]...),
		within(transportField(quoted+destinationAddress, 4), own),
	)
	all := [][]expr.Any{
		join(protocol(unix.IPPROTO_TCP), []expr.Any{transportField(flags, 1), mask(tcpRST | tcpACK)}, []expr.Any{differs(0)}),
		join(protocol(unix.IPPROTO_ICMP), equal(transportField(0, 1), echoReply)),
	}
	for _, kind := range []byte{unreachable, timeExceeded, badParameter} {
		all = append(all, join(protocol(unix.IPPROTO_ICMP), equal(transportField(0, 1), kind), about))
	}
	return all
}

// Offsets in an IPv4 header.
const (
	protocolField      = 9
	sourceAddress      = 12
	destinationAddress = 16
)

func isIPv4() []expr.Any { return equal(meta(expr.MetaKeyNFPROTO), unix.NFPROTO_IPV4) }

func protocol(p byte) []expr.Any { return join(isIPv4(), equal(meta(expr.MetaKeyL4PROTO), p)) }

func meta(key expr.MetaKey) expr.Any { return &expr.Meta{Key: key, Register: 1} }

func transportField(offset, size uint32) expr.Any {
	return &expr.Payload{Base: expr.PayloadBaseTransportHeader, Offset: offset, Len: size, DestRegister: 1}
}

func networkField(offset uint32) expr.Any {
	return &expr.Payload{Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: 4, DestRegister: 1}
}

func mask(bits ...byte) expr.Any {
	n := uint32(len(bits))
	return &expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: n, Mask: bits, Xor: make([]byte, n)}
}

func differs(from ...byte) expr.Any {
	return &expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: from}
}

func equal(load expr.Any, to ...byte) []expr.Any {
	return []expr.Any{load, &expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: to}}
}

func unlike(load expr.Any, from ...byte) []expr.Any { return []expr.Any{load, differs(from...)} }

// within matches an address in network.
func within(load expr.Any, network netip.Prefix) []expr.Any {
	address, bits := network.Masked().Addr().As4(), binary.BigEndian.AppendUint32(nil, ^uint32(0)<<(32-network.Bits()))
	return []expr.Any{load, mask(bits...), &expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: address[:]}}
}

// native returns a number in the byte order of the machine.
func native(n int) []byte { return binary.NativeEndian.AppendUint32(nil, uint32(n)) }

func accept() []expr.Any { return []expr.Any{&expr.Verdict{Kind: expr.VerdictAccept}} }

func drop() []expr.Any { return []expr.Any{&expr.Counter{}, &expr.Verdict{Kind: expr.VerdictDrop}} }

func join(parts ...[]expr.Any) []expr.Any { return slices.Concat(parts...) }
