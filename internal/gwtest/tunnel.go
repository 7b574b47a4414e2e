package gwtest

import (
	"cmp"
	"os"
)

// TunnelMode is the mode of the tunnels that tests make: userspace, or what
// GATEWAY_TEST_TUNNEL says. With kernel, the kernel must have WireGuard.
func TunnelMode() string { return cmp.Or(os.Getenv("GATEWAY_TEST_TUNNEL"), "userspace") }
