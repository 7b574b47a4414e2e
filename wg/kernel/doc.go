// Package kernel is how the tunnel speaks with the kernel by netlink: requests
// that never wait, notifications, and the network namespace that both belong to.
package kernel
