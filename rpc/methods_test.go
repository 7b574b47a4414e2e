package rpc

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"sallyport/internal/vm"
)

// direct calls the handler without a network.
func (w *world) direct(ctx context.Context, state *tls.ConnectionState, path, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, path, strings.NewReader(body))
	r.TLS = state
	a := httptest.NewRecorder()
	w.server.handler().ServeHTTP(a, r)
	return a
}

func TestMethodsAnswer(t *testing.T) {
	w := newWorld(t, nil)
	sibling := w.app.server(t, "gw2.example")
	for _, c := range []struct {
		name, request, want string
		cert                *tls.Certificate
	}{
		{"Info", post("/prpc/Info?json", ""), `{"base_domain":"gw.example","external_port":443,"app_address_ns_prefix":"_dstack-app-address","version":"1.2.3"}`, nil},
		{"Info, null", post("/prpc/Gateway.Info?json", "null"), `{"base_domain":"gw.example","external_port":443,"app_address_ns_prefix":"_dstack-app-address","version":"1.2.3"}`, nil},
		{"Info, GET", "GET /prpc/Info HTTP/1.1\r\nhost: x\r\n\r\n", `{"base_domain":"gw.example","external_port":443,"app_address_ns_prefix":"_dstack-app-address","version":"1.2.3"}`, nil},
		{"AcmeInfo", post("/prpc/AcmeInfo?json", "{}"), `{"account_uri":"","hist_keys":[],"quoted_hist_keys":[],"account_quote":"","account_attestation":"","base_domain":"","active_cert":"","evidence":""}`, nil},
		{"GetPeers", post("/prpc/GetPeers?json", ""), `{"my_id":1,"my_url":"https://gw.example:8000","peers":[{"id":2,"url":"https://gw2.example:8000"}]}`, &sibling},
		{"Info, protobuf", post("/prpc/Info", ""), "\x0a\x0agw.example\x10\xbb\x03\x1a\x13_dstack-app-address\x22\x051.2.3", nil},
		{"AcmeInfo, protobuf", post("/prpc/AcmeInfo", ""), "", nil},
		{"health", "GET /health HTTP/1.1\r\nhost: x\r\n\r\n", "OK", nil},
	} {
		a := w.send(t, c.cert, c.request)
		if a.status != 200 || a.body != c.want {
			t.Errorf("%s: status %d:\ngot  %q\nwant %q", c.name, a.status, a.body, c.want)
		}
		if got := a.header.Get("X-App-Version"); got != "v1.2.3 (git:0123456789abcdef0123)" {
			t.Errorf("%s: X-App-Version %q", c.name, got)
		}
	}
}

func TestOnlyGatewaysOfTheSameAppGetPeers(t *testing.T) {
	w := newWorld(t, nil)
	a := w.send(t, &w.guest, post("/prpc/GetPeers?json", ""))
	if got := errorOf(t, a); a.status != 400 || got != "Remote app id is not from dstack-gateway" {
		t.Errorf("status %d, %q", a.status, got)
	}
	for name, appOf := range map[string]func(*x509.Certificate) (vm.AppID, error){
		"nothing that tells": nil,
		"no app id":          func(*x509.Certificate) (vm.AppID, error) { return "", nil },
		"unreadable":         func(*x509.Certificate) (vm.AppID, error) { return "a", errors.New("damaged") },
	} {
		w := newWorld(t, func(o *Options) { o.AppOf = appOf })
		sibling := w.app.server(t, "gw2.example")
		if a := w.send(t, &sibling, post("/prpc/GetPeers?json", "")); a.status != 400 {
			t.Errorf("%s: status %d: %s", name, a.status, a.body)
		}
	}
}

// A certificate that names the gateway's app is not enough: who it is of is found out as
// for a registration, and what is refused there is refused here.
func TestOnlyIdentifiedCallersGetPeers(t *testing.T) {
	w := newWorld(t, func(o *Options) {
		o.Identify = func(context.Context, *tls.ConnectionState) (Caller, error) {
			return Caller{}, errors.New("its issuing CA is of another app")
		}
	})
	sibling := w.app.server(t, "gw2.example") // names the gateway's app
	a := w.send(t, &sibling, post("/prpc/GetPeers?json", ""))
	if got := errorOf(t, a); a.status != 400 || got != "its issuing CA is of another app" {
		t.Errorf("status %d, %q", a.status, got)
	}
}

func TestOtherVerbsAndPathsAreRefused(t *testing.T) {
	w := newWorld(t, nil)
	for line, want := range map[string]int{
		"PUT /prpc/Info": 405, "DELETE /prpc/Info": 405, "POST /health": 405, "GET /": 404, "GET /prpc": 404, "GET /prpc/a/b": 404,
	} {
		if a := w.send(t, nil, line+" HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n"); a.status != want {
			t.Errorf("%s: status %d, want %d", line, a.status, want)
		}
	}
}

func TestRequestsAreCountedByKnownNamesOnly(t *testing.T) {
	w := newWorld(t, nil)
	for _, path := range []string{"/prpc/Info?json", "/prpc/Tproxy.Info?json", "/prpc/x?json", "/prpc/y?json", "/prpc/GetPeers?json"} {
		w.direct(t.Context(), nil, path, "")
	}
	const want = `# HELP gateway_rpc_requests_total Requests to the guests' API, by method and HTTP status.
# TYPE gateway_rpc_requests_total counter
gateway_rpc_requests_total{code="200",method="Info"} 2
gateway_rpc_requests_total{code="400",method="GetPeers"} 1
gateway_rpc_requests_total{code="404",method="unknown"} 2
`
	if err := testutil.CollectAndCompare(w.server.Collectors()[0], strings.NewReader(want)); err != nil {
		t.Error(err)
	}
}
