// Package netns makes network namespaces for measurements that must not run on the
// machine's own network, and lays cables between them. It needs root and ip (iproute2), and
// leaves nothing behind: a namespace without a name disappears with its last process.
//
// Tests have internal/gwtest, which programs must not import.
package netns
