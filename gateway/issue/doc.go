// Package issue decides how the gateway gets its certificates: those of domains with
// acme = true from an authority, those of domains with ratls = true with evidence of its
// own. Package acme orders and renews; what is here joins it to the gateway's store, to the
// index that serves, and to what proves control of the domains: a name server in this
// process (zones.go), the DNS of somebody else, or the port for clients.
//
// Before each order DNS is asked whether it can succeed: failed orders count at the
// authority, and its reasons say less.
//
// Start at issuer.go. provers.go reads [acme]; preflight.go asks before an order; evidence.go
// and published.go prove where keys are; control.go answers the commands, rehearse.go and
// pinning.go are what those ask for; own.go makes certificates without an authority.
package issue
