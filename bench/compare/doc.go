// Package compare measures proxies side by side: the gateway and its peers, in
// turn, under the same load, on the same CPU.
//
// The generator and the backend run in this process on one CPU, a proxy in a
// process of its own on another. Every run starts its proxy anew. In each round
// the order rotates, so that what else the machine does falls on all alike. It
// sends to loopback alone, judges nothing and renders nothing: package report does.
//
// How to read it: [Run] in run.go; the loads are the table in workloads.go, what
// grows beside them growth.go. Plan, CPUs and limits are package trial's.
package compare
