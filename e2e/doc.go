// Package e2e tests the gateway from outside: the real program, real clients and
// servers, real tunnels, on machines made of network namespaces.
//
//	client ── 192.0.2.0/24 ──▶ gateway ──┬─ 198.51.100.0/30 ── cvm1 10.8.0.2
//	          2001:db8::/64              └─ 198.51.100.4/30 ── cvm2 10.8.0.3
//
// The gateway runs as an operator would run it, from a configuration file, and
// is asked nothing but what it answers on its ports. A CVM's tunnel is a process
// of its own (the test binary again), so that it can be killed; its servers live
// in the test process, which so holds both ends of a connection and can say what
// each of them saw.
//
// Read world_test.go (the machines), gateway_test.go (the program) and
// flow_test.go (one connection, both ends). Every other file is about one
// behaviour of the gateway. The tests need root; soak_test.go needs the build
// tag soak as well.
package e2e
