// Package compare measures proxies side by side: the gateway and its peers, in turn, under
// the same load, on the same CPU.
//
// The generator and the backend run in this process on one CPU, a proxy in a process of its
// own on another. Every run starts a new process of the proxy. Each round has another order,
// so that other load on the machine affects all proxies alike. The package sends only to
// loopback, judges nothing and renders nothing: package report does.
//
// Read [Run] in run.go first. workloads.go has the table of loads, and growth.go the loads
// that grow. Plan, CPUs and limits are in package trial.
package compare
