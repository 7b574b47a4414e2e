// Package wg is the gateway's WireGuard device: it makes the interface, adds
// and removes peers one by one, tells when each peer last shook hands, and
// remembers the peers' endpoints over a restart.
//
// Three kinds of device stand behind one [Device]: the kernel's (netlink and
// genetlink), wireguard-go on a TUN device in this process, and wireguard-go on
// a TCP/IP stack in this process, which needs no privilege at all. The first two
// differ only in how the interface is made; the mode "none" has no tunnel.
//
// What it refuses to do: it never rewrites the list of peers, never gives one
// peer's address to another, never replaces a damaged private key, and never
// brings an interface up that is not isolated. It decides nothing about who may
// be a peer or who is healthy.
//
// How to read it: [Open] in device.go tries the modes of backend.go; an interface
// is built in tunnel.go (hold.go keeps it for one process, kernel.go and
// userspace.go make it, overlap.go looks for others in its network, isolate.go shuts
// it off by the rules of rules.go, which filter.go writes, ingress.go is the lock that
// a killed gateway leaves, way.go ties sockets to it, control.go talks to it), the unprivileged stack in netstack.go and stack.go, with
// icmp.go. Peers change in peers.go; handshakes.go reads a dump through the pure
// rules of ages.go; endpoints.go is the file format. run.go keeps the file up to date
// and the interface whole: watch.go and rulewatch.go hear of changes, restore.go mends
// them, gap.go makes good what was open without rules.
package wg
