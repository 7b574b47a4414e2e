// Package tunnel measures what the gateway adds to its tunnel: the same load to a
// CVM once through the gateway, and once straight into the tunnel of that same
// gateway process.
//
// Gateway and CVM are in network namespaces of their own, with a cable between them
// and wireguard-go at both ends. The difference of the two is the gateway's own
// share. In one workload new instances register meanwhile. It needs root, ip (iproute2) and /dev/net/tun, and touches nothing outside of
// the namespaces, which vanish with it.
//
// How to read it: [Run] in run.go, the parts of the site in site.go.
package tunnel
