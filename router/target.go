package router

import "sallyport/internal/hello"

// RouteTarget decides for a client whose name stands under no served domain, and
// whose owner says elsewhere (in DNS) which id and port serve it. Such a connection
// is always passed through: only the app has a certificate for the name. The id
// must be in lower case; nothing is kept of it.
func (r *Router) RouteTarget(id []byte, port uint16) (d Decision) {
	d.Mode, d.Port = hello.Passthrough, port
	app, inst := r.snapshot().Lookup(id)
	r.pick(&d, app, inst)
	return d
}
