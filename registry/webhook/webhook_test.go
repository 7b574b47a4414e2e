package webhook

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sallyport/registry"
	"sallyport/registry/record"
)

func request() registry.Request { return registry.Request{App: "app", Instance: "one"} }

func newWebhook(t testing.TB, url string, timeout time.Duration) *Webhook {
	t.Helper()
	w, err := New(url, timeout)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.client.CloseIdleConnections)
	return w
}

func TestWebhookGetsTheAppInfo(t *testing.T) {
	var got map[string]any
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got = nil
		if err := json.Unmarshal(body, &got); err != nil || r.Method != http.MethodPost || r.URL.Path != "/app-auth" {
			t.Errorf("%s %s: %v", r.Method, r.URL, err)
		}
	}))
	defer server.Close()
	w := newWebhook(t, server.URL+"/app-auth", 0)
	q := request()
	q.Facts = registry.Facts{
		DeviceID: []byte{1, 2}, MRSystem: []byte{3}, MRAggregated: []byte{4}, OSImageHash: nil,
		KeyProviderInfo: []byte("{}"), InitScriptHashes: []record.Hex{{5}, {6, 7}},
	}
	want := map[string]any{
		"app_id": "app", "instance_id": "one", "compose_hash": q.Compose.String(), "device_id": "0102", "mr_system": "03",
		"mr_aggregated": "04", "os_image_hash": "", "key_provider_info": "7b7d", "init_script_hashes": []any{"05", "0607"},
	}
	if err := w.Authorize(t.Context(), q); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for _, none := range [][]record.Hex{nil, {}} {
		q.Facts.InitScriptHashes = none
		if err := w.Authorize(t.Context(), q); err != nil {
			t.Fatal(err)
		}
		if _, list := got["init_script_hashes"].([]any); list != (none != nil) {
			t.Errorf("hashes %#v sent as %v", none, got["init_script_hashes"])
		}
	}
}

func TestOnlyTheStatusOfTheWebhookCounts(t *testing.T) {
	var status int
	var hits int
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		hits++
		w.Header().Set("Location", "/allowed")
		w.WriteHeader(status)
		if status != http.StatusNoContent {
			_, _ = io.WriteString(w, strings.Repeat("x", 2*maxAnswer))
		}
	}))
	defer server.Close()
	w := newWebhook(t, server.URL, 0)
	for code, says := range map[int]string{
		200: "allow", 204: "allow", 299: "allow", 400: "deny", 401: "deny", 403: "deny", 404: "deny", 499: "deny",
		301: "nothing", 307: "nothing", 408: "nothing", 425: "nothing", 429: "nothing", 500: "nothing", 503: "nothing",
	} {
		status, hits = code, 0
		err := w.Authorize(t.Context(), request())
		if (err == nil) != (says == "allow") || errors.Is(err, registry.ErrDenied) != (says == "deny") || hits != 1 {
			t.Errorf("status %d should %s: %v after %d requests", code, says, err, hits)
		}
	}
}

func TestWebhookThatDoesNotAnswerIsAnError(t *testing.T) {
	leave := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-leave }))
	w := newWebhook(t, server.URL, 20*time.Millisecond)
	if err := w.Authorize(t.Context(), request()); err == nil || errors.Is(err, registry.ErrDenied) {
		t.Errorf("silence: %v", err)
	}
	close(leave)
	server.Close()
	err := w.Authorize(t.Context(), request())
	if err == nil || errors.Is(err, registry.ErrDenied) || strings.Contains(err.Error(), server.URL) {
		t.Errorf("a closed port: %v", err)
	}
}

func TestBadWebhookIsRefused(t *testing.T) {
	for _, bad := range []string{"", "localhost/auth", "ftp://host/", "http://", "http:///path", "http://%zz"} {
		if _, err := New(bad, 0); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}
