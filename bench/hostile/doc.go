// Package hostile measures what attacks do to honest clients of the gateway and of HAProxy,
// one thread each, in turn, under the same attack at the same rate.
//
// Honest clients are 500 requests a second over 16 open connections, and 100 new connections
// a second; first without the attack, then beside it. Proxy, clients and attackers are in
// one network namespace and the backend in another, with a cable between them and the
// kernel's defaults for a new namespace: on loopback the kernel reuses at once a port that
// stays taken for a minute in production. Proxies have as many descriptors as a few thousand
// connections use, their limits are the defaults for that number, and they log failures.
//
// The package judges one thing: whether an honest client's p99 beside the attack is worse
// than at HAProxy. It needs root and ip (iproute2), and sends nothing anywhere else.
//
// Read attacks.go first, the table of attacks. [Run] in run.go measures them; site.go has the
// namespaces, and dropped.go a port of the instance there; clients.go has the honest clients
// and the attacker; results.go is the file and its figures, markdown.go its table.
package hostile
