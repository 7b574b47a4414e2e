package admin

import (
	"net/http"
	"net/http/pprof"
)

// serveProfiles shows what the process spends CPU and memory on, for go tool pprof. A
// profile costs some percent of a CPU while it is taken, and shows names of functions and
// no content; the command line, which pprof.Index would show as well, is left out.
func serveProfiles(mux *http.ServeMux) {
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", http.NotFound)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
}
