package status

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"sallyport/admin"
)

// shown is what the command prints of a status.
func shown(t *testing.T, s admin.Status) (string, error) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(s) // to the command, which waits for it
	}))
	defer server.Close()
	var out bytes.Buffer
	err := show(t.Context(), &out, strings.TrimPrefix(server.URL, "http://"), false, false)
	return out.String(), err
}

func TestStatusShowsWhyNobodyIsServed(t *testing.T) {
	up := admin.Instance{App: "app", ID: "one", Address: "10.0.0.2", Health: "fresh", Weight: 1}
	refused := admin.Instance{App: "app", ID: "two", Address: "10.0.0.3", Health: "refused", Reason: "attestation: TCB status OutOfDate"}
	for name, c := range map[string]struct {
		status admin.Status
		says   []string
		fails  bool
	}{
		"one is up":               {admin.Status{Instances: []admin.Instance{up, refused}}, []string{"fresh", "refused"}, false},
		"the only one is refused": {admin.Status{Instances: []admin.Instance{refused}}, []string{"refused", "attestation: TCB status OutOfDate"}, true},
		"the tunnel is not ready": {admin.Status{Instances: []admin.Instance{up}, TunnelFault: "closed"}, []string{"The tunnel is not ready", "closed"}, true},
	} {
		c.status.Started = time.Now()
		said, err := shown(t, c.status)
		if (err != nil) != c.fails {
			t.Errorf("%s: %v", name, err)
		}
		for _, word := range c.says {
			if !strings.Contains(said, word) {
				t.Errorf("%s: does not say %q:\n%s", name, word, said)
			}
		}
		if !c.fails && strings.Contains(said, "not ready") {
			t.Errorf("%s: says\n%s", name, said)
		}
	}
}
