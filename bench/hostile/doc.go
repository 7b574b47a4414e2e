// Package hostile measures what attacks do to honest clients: of the gateway and of
// HAProxy, one thread each, in turn, under the same attack at the same rate.
//
// Honest clients are 500 requests a second over 16 connections that are up, and 100
// new connections a second; for a moment without the attack, and then beside it. Proxy,
// clients and attackers are in one network namespace and the backend in another, with a
// cable between them and the kernel's defaults for a new namespace: on loopback the
// kernel gives a port out again that in production stays taken for a minute. Proxies
// have as many descriptors as a few thousand connections use up, their limits are the
// defaults that they take from that, and they log what fails.
//
// It judges one thing: whether an honest client's p99 beside the attack is worse than at
// HAProxy. It needs root and ip (iproute2), and sends nothing anywhere else.
//
// How to read it: the attacks are the table in attacks.go; [Run] in run.go measures them,
// site.go is where, and dropped.go a port of the instance there; clients.go has the honest
// clients and the attacker; results.go is the file and its figures, markdown.go its table.
package hostile
