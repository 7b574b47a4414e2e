package pebble

import (
	"crypto/tls"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"sallyport/internal/gwtest"
)

// Directory is another directory of a Server: with other names for CAA records, or none,
// and one that can go away while the Server goes on.
type Directory struct {
	URL string

	server *httptest.Server
}

// NewDirectory leads to s until the test ends. ca issues the certificate of its HTTPS.
func (s *Server) NewDirectory(t testing.TB, ca *gwtest.CA, identities ...string) *Directory {
	t.Helper()
	data, err := s.get(s.Directory)
	if err != nil {
		t.Fatal(err)
	}
	var dir map[string]any
	if err := json.Unmarshal(data, &dir); err != nil {
		t.Fatal(err)
	}
	meta, _ := dir["meta"].(map[string]any)
	if meta == nil {
		t.Fatal("pebble's directory has no meta")
	}
	meta["caaIdentities"] = identities
	d := &Directory{server: httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(dir) // to somebody who may have left
	}))}
	d.server.TLS = &tls.Config{Certificates: []tls.Certificate{ca.Server(t, "localhost")}}
	d.server.StartTLS()
	t.Cleanup(d.server.Close)
	d.URL = strings.Replace(d.server.URL, "127.0.0.1", "localhost", 1) + "/dir"
	return d
}

// Stop refuses connections from now on.
func (d *Directory) Stop() { d.server.Close() }
