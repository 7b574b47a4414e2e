package rpc

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
)

// WellKnown is the small site that a gateway serves its clients under its own name,
// gateway.<domain>: whether it is there, and what proves its identity. agent is the
// socket of its dstack guest agent, "" outside a CVM; certs may be nil: nothing is
// known about certificates. The handler may be used concurrently.
func WellKnown(agent string, certs Certificates) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/health", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("/index", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, []byte(`{"type":"dstack gateway","paths":["/index","/app-info","/acme-info"]}`))
	})
	mux.HandleFunc("/acme-info", newAcmeInfo(certs).serve)
	mux.HandleFunc("/app-info", newAppInfo(agent).serve)
	return onlyGet(stripDstack(mux))
}

// stripDstack takes the prefix /.dstack off, which may stand there several times.
func stripDstack(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		const prefix = "/.dstack"
		path := r.URL.Path
		for strings.HasPrefix(path, prefix+"/") {
			path = path[len(prefix):]
		}
		if path != r.URL.Path {
			r = r.Clone(r.Context())
			r.URL.Path, r.URL.RawPath = path, ""
		}
		next.ServeHTTP(w, r)
	})
}

func onlyGet(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			w.Header().Set("Connection", "close") // an unread body must not hold the connection
			http.Error(w, "only GET and HEAD", http.StatusMethodNotAllowed)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func writeJSON(w http.ResponseWriter, b []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(b))) // HEAD has it too
	_, _ = w.Write(b)                                      // it fails only if the reader has gone
}

// info is what the guest agent says about this CVM, as it says it.
func (s *agentSource) info(ctx context.Context) ([]byte, error) {
	var answer json.RawMessage
	err := s.client.Call(ctx, "Info", struct{}{}, &answer)
	return answer, err
}
