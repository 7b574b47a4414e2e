// Package isolate keeps guests from reaching anything but the gateway's own
// connections through the tunnel, and other programs of the host from reaching
// guests.
//
// [Isolation] is a table of the packet filter for one interface: written before
// the interface comes up, removed after it is gone (isolate.go; rules.go has the
// rules and their reasons). Other programs change the host's tables too: "flush
// ruleset" is the first line of many a firewall's file. Where the kernel can, the
// table belongs to this process, and nobody else changes it. Where it cannot,
// watch.go reports changes, and sweep.go ends the connections that guests began
// while rules were missing. ingress.go is a filter of the interface itself, for
// the time after its gateway was killed.
package isolate
