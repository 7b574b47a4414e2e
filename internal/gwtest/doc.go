// Package gwtest is the kit of the end-to-end tests: hosts made of network namespaces, a
// certificate authority, ClientHellos of any shape, streams of known bytes, and a CVM's side
// of a WireGuard tunnel. Only tests may import it.
//
// Nothing of it outlives the test process, however that ends: the namespaces have no name
// (the kernel drops one with its last process and descriptor), and every process that it
// starts dies with its parent.
//
// Read host.go, then process.go and guest.go.
package gwtest
