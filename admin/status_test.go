package admin

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestStatusIsWhatTheGatewayReports(t *testing.T) {
	s := New(Options{Status: func() Status {
		return Status{Version: "v1", Instances: []Instance{{ID: "a", Health: "fresh", Weight: 1}}}
	}})
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/status", nil))
	var got Status
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if got.Version != "v1" || len(got.Instances) != 1 || got.Instances[0].Handshake != nil {
		t.Errorf("status %s", w.Body)
	}
	if kind := w.Header().Get("Content-Type"); kind != "application/json" {
		t.Errorf("content type %s", kind)
	}
}

func TestThereIsNoStatusPageWithoutAStatus(t *testing.T) {
	w := httptest.NewRecorder()
	New(Options{}).handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/status", nil))
	if w.Code != http.StatusNotFound {
		t.Errorf("code %d", w.Code)
	}
}
