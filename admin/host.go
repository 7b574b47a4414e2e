package admin

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// A page in an operator's browser may have its own name lead to 127.0.0.1 ("DNS
// rebinding"): the browser takes what it reads here for the page's own. It includes the
// name that it asked for as Host, which no page can change. So a name is answered only
// if it is a known one. An address as Host is what no page got by a name of its own; it
// is held to those that lead here all the same.

// named lets a request pass if it asks for a host that the listener at an address stands
// for: localhost, a loopback address, the address itself (any, if that is unspecified),
// or one of the names. Without Host, which HTTP/1.0 allows, it comes from no browser.
func named(names []string, at net.Addr, next http.Handler) http.Handler {
	known := map[string]bool{"localhost": true}
	for _, n := range names {
		known[strings.ToLower(n)] = true
	}
	var listen netip.Addr
	if tcp, ok := at.(*net.TCPAddr); ok {
		listen = tcp.AddrPort().Addr().Unmap().WithZone("")
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Host != "" && !standsFor(r.Host, known, listen) {
			w.Header().Set("Connection", "close") // an unread body must not hold the connection
			http.Error(w, "this host name is not allowed: use localhost or the address, or list the name in [admin] hosts", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func standsFor(host string, known map[string]bool, listen netip.Addr) bool {
	if h, _, err := net.SplitHostPort(host); err == nil { // any port: it may be forwarded
		host = h
	}
	if ip, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		ip = ip.Unmap().WithZone("")
		return ip.IsLoopback() || ip == listen || listen.IsUnspecified()
	}
	return known[strings.ToLower(strings.TrimSuffix(host, "."))]
}
