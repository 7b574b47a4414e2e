package rpc

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestWellKnownSite(t *testing.T) {
	site := WellKnown("", nil)
	for _, test := range []struct {
		method, path string
		code         int
		body         string
	}{
		{"GET", "/health", 200, ""},
		{"HEAD", "/health", 200, ""},
		{"GET", "/index", 200, `"paths":["/index","/app-info","/acme-info"]`},
		{"GET", "/.dstack/index", 200, `"type":"dstack gateway"`},
		{"GET", "/.dstack/.dstack/index", 200, `"type":"dstack gateway"`},
		{"GET", "/.dstack/acme-info", 200, `"hist_keys":[]`},
		{"GET", "/.dstack/app-info", 404, "no guest agent"},
		{"GET", "/.dstackindex", 404, ""},
		{"GET", "/.dstack", 404, ""},
		{"GET", "/other", 404, ""},
		{"POST", "/index", 405, ""},
	} {
		w := httptest.NewRecorder()
		site.ServeHTTP(w, httptest.NewRequest(test.method, test.path, nil))
		if w.Code != test.code || !strings.Contains(w.Body.String(), test.body) {
			t.Errorf("%s %s: %d %s", test.method, test.path, w.Code, w.Body)
		}
	}
}

func TestGuestAgentThatIsSilentIsABadGateway(t *testing.T) {
	w := httptest.NewRecorder()
	WellKnown(t.TempDir()+"/no.sock", nil).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/app-info", nil))
	if w.Code != http.StatusBadGateway {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
