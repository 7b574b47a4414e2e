// Package wg is the gateway's WireGuard device: it makes the interface, adds and
// removes peers one by one, reports when each peer last shook hands, and remembers
// the peers' endpoints over a restart.
//
// [Device] hides three kinds of device: the kernel's (netlink and genetlink),
// wireguard-go on a TUN interface in this process, and wireguard-go on a TCP/IP stack
// in this process, which needs no privilege. The first two differ only in how the
// interface is made and configured. The mode "none" has no tunnel.
//
// The package never rewrites the list of peers, never gives one peer's address to
// another, never replaces a damaged private key, and never brings an interface up
// that is not isolated. It does not decide which peers are allowed or healthy.
//
// Start at [Open] in device.go, which tries the modes of backend.go. An interface is
// built in tunnel.go: kernel.go and userspace.go make it, overlap.go looks for other
// networks in its way, gap.go isolates it, way.go binds sockets to it, and control.go
// configures it. netstack.go is the mode without privilege. Peers change in peers.go;
// handshakes.go reads a dump by the pure rules of ages.go; endpoints.go is the file
// format. run.go keeps the file up to date and the interface whole: watch.go reports
// changes, restore.go repairs, gap.go ends what was open without rules.
//
// Rooms of their own are wg/isolate (what guests may send), wg/nft (tables of the packet
// filter), wg/kernel (netlink), wg/hold (one process for each name and key), wg/userspace
// (wireguard-go) and wg/netstack (the stack).
package wg
