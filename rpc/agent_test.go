package rpc

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sallyport/internal/dstackagent"
)

// startAgent serves h on a Unix socket until the test ends.
func startAgent(t testing.TB, h http.HandlerFunc) (socket string) {
	t.Helper()
	socket = filepath.Join(t.TempDir(), "dstack.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = srv.Serve(l) // until it is closed
	}()
	t.Cleanup(func() {
		srv.Close()
		<-ended
	})
	return socket
}

func TestCertificateAndAuthorityComeFromTheGuestAgent(t *testing.T) {
	root := newRoot(t)
	app := root.sub(t, "Dstack App CA")
	server := app.server(t, "gw.example")
	var path, question string
	socket := startAgent(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		path, question = r.Method+" "+r.RequestURI, string(body)
		_ = json.NewEncoder(w).Encode(map[string]any{
			"key":               string(keyPEM(t, server)),
			"certificate_chain": []string{string(certPEM(server.Certificate[0])), string(certPEM(app.cert.Raw)), string(certPEM(root.cert.Raw))},
		})
	})
	id, err := OpenIdentity(t.Context(), IdentityOptions{Agent: Agent{Socket: socket, AltNames: []string{"gw.example", "gw1.example"}}})
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"subject":"dstack-gateway","alt_names":["gw.example","gw1.example"],"usage_ra_tls":true,"usage_server_auth":true,"usage_client_auth":true,"with_app_info":true}`
	if diff := cmp.Diff("POST /GetTlsKey?json "+want, path+" "+question); diff != "" {
		t.Errorf("question (-want +got):\n%s", diff)
	}
	w := newWorld(t, func(o *Options) { o.Identity = id })
	w.root = root
	guest := root.sub(t, "Dstack App CA").guest(t, "app1", "inst1")
	if a := w.send(t, &guest, post("/prpc/RegisterCvm?json", guests[0].body)); a.status != 200 {
		t.Errorf("status %d: %s", a.status, a.body)
	}
}

func TestBadAnswerOfTheGuestAgentIsRefused(t *testing.T) {
	root := newRoot(t)
	leaf := string(certPEM(root.server(t, "gw.example").Certificate[0]))
	for answer, want := range map[string]string{
		`{`:  "is not the JSON of GetTlsKey",
		`{}`: "chain has 0 certificates",
		`{"key":"secret","certificate_chain":["x"]}`:                            "chain has 1 certificates",
		`{"key":"secret","certificate_chain":["x","y"]}`:                        "failed to find any PEM data",
		`{"key":"secret","certificate_chain":"secret"}`:                         "is not the JSON of GetTlsKey",
		`{"key":"","certificate_chain":[` + strings.Repeat(`"x",`, 10) + `""]}`: "chain has 11 certificates",
		`{"key":"` + strings.Repeat("x", dstackagent.MaxAnswer) + `"}`:          "larger than",
		`{"key":"secret","certificate_chain":` + asJSON(leaf, leaf) + `}`:       "failed to find any PEM data in key input",
	} {
		socket := startAgent(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, answer) })
		_, err := OpenIdentity(t.Context(), IdentityOptions{Agent: Agent{Socket: socket}})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s: %v, want %q", answer, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("the error tells the key: %v", err)
		}
	}
	refuse := startAgent(t, func(w http.ResponseWriter, _ *http.Request) { http.Error(w, `{"error":"no KMS"}`, 400) })
	for socket, want := range map[string]string{
		refuse:          `status 400: {"error":"no KMS"}`,
		refuse + ".not": "no such file or directory",
	} {
		if _, err := OpenIdentity(t.Context(), IdentityOptions{Agent: Agent{Socket: socket}}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

func asJSON(list ...string) string {
	b, _ := json.Marshal(list)
	return string(b)
}
