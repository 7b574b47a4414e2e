package route

import (
	"net/netip"

	"sallyport/router"
)

// The gateway never dials itself. With [wireguard] mode "none" an instance's address may
// be one of this host's, and the client chooses the port: without this rule <app>-9901 would
// reach [admin]. The other modes dial tunnel addresses alone; the rule holds for them too.

// leaveOutOwn takes those candidates out of a decision whose address and port are a
// listener of this process. It reports whether others are left.
func leaveOutOwn(own Listeners, decided *router.Decision) bool {
	left := 0
	for _, c := range decided.Candidates[:decided.N] {
		if !own.Contain(netip.AddrPortFrom(c.Instance.Addr, decided.Port)) {
			decided.Candidates[left] = c
			left++
		}
	}
	decided.N = left
	return left > 0
}
