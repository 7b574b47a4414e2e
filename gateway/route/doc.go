// Package route decides where a connection goes: it joins the router, the certificates and
// the custom domains, which do not know each other, to one decision of the relay.
//
// A hello passes these steps (route.go), each in a file of its name:
//
//	domains     Is the name a served domain, below one, or somebody else's?
//	site        A domain's own name, and names of the gateway below it, lead to a site in
//	            this process; validation answers an authority that validates such a name.
//	custom      For other names, DNS says which app or instance serves them.
//	listeners   No instance is reached at an address where this process listens itself.
//	upstream    A connection that ends here may be encrypted again up to its instance.
//
// All of it runs on the loops' threads: nothing here waits, except for what Decision.Later
// does on a goroutine.
package route
