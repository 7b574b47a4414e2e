// Package netns makes network namespaces for what must not run on the machine's own
// network, and lays cables between them. It needs root and ip (iproute2), and leaves
// nothing: a namespace without a name vanishes with what uses it.
//
// Tests have internal/gwtest, which the program must not import.
package netns
