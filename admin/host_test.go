package admin

import (
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestOnlyKnownHostsAreAnswered(t *testing.T) {
	for _, c := range []struct {
		listen, host string
		status       int
	}{
		{"127.0.0.1:9901", "127.0.0.1:9901", 200},
		{"127.0.0.1:9901", "localhost", 200},
		{"127.0.0.1:9901", "LocalHost.:8000", 200}, // forwarded by ssh -L
		{"127.0.0.1:9901", "[::1]:9901", 200},
		{"127.0.0.1:9901", "[::1]", 200},
		{"127.0.0.1:9901", "127.9.9.9", 200},
		{"127.0.0.1:9901", "", 200}, // HTTP/1.0
		{"127.0.0.1:9901", "Metrics.Example:9901", 200},
		{"127.0.0.1:9901", "rebound.example:9901", 403},
		{"127.0.0.1:9901", "metrics.example.evil.example", 403},
		{"127.0.0.1:9901", "localhost.evil.example", 403},
		{"127.0.0.1:9901", "127.0.0.1.evil.example", 403},
		{"127.0.0.1:9901", "10.0.0.5:9901", 403},
		{"127.0.0.1:9901", "2130706433", 403}, // a browser makes an address of it before it asks
		{"10.0.0.5:9901", "10.0.0.5:9901", 200},
		{"10.0.0.5:9901", "[::ffff:10.0.0.5]:9901", 200},
		{"10.0.0.5:9901", "10.0.0.6:9901", 403},
		{"0.0.0.0:9901", "10.0.0.6:9901", 200},
		{"[::]:9901", "[2001:db8::1]:9901", 200},
		{"0.0.0.0:9901", "rebound.example", 403},
	} {
		at, err := net.ResolveTCPAddr("tcp", c.listen)
		if err != nil {
			t.Fatal(err)
		}
		h := named([]string{"metrics.example"}, at, text("ok\n"))
		r := httptest.NewRequest(http.MethodGet, "/status", nil)
		r.Host = c.host
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != c.status {
			t.Errorf("%q at %s: %d, want %d", c.host, c.listen, w.Code, c.status)
		}
	}
}

func TestServerAnswersNoForeignName(t *testing.T) {
	url := start(t, Options{Hosts: []string{"gateway.internal"}})
	for host, status := range map[string]int{"gateway.internal": 200, "rebound.example": 403} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/metrics", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = host
		resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != status {
			t.Errorf("%s: %d, want %d", host, resp.StatusCode, status)
		}
	}
}
