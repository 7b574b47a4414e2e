// Package tunnel measures what the gateway adds to its tunnel: the same load to a CVM once
// through the gateway, and once straight into the tunnel of the same gateway process. The
// difference is the gateway's own share. In one workload new instances register meanwhile.
//
// Gateway and CVM are in network namespaces of their own, with a cable between them and
// wireguard-go at both ends. The package needs root, ip (iproute2) and /dev/net/tun. It
// touches nothing outside the namespaces, which disappear with it.
//
// Read [Run] in run.go, then site.go for the parts of the site.
package tunnel
