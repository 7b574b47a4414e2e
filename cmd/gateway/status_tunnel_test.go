package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sallyport/cmd/gateway/cli"
	"sallyport/config"
)

// With a tunnel that is not ready, healthy instances serve nobody.
func TestStatusTellsOfATunnelThatIsNotReady(t *testing.T) {
	dir := t.TempDir()
	ca, err := newDemoCA()
	if err != nil {
		t.Fatal(err)
	}
	if err := ca.issue(filepath.Join(dir, "web.pem"), filepath.Join(dir, "web.key"), "*.gw.test"); err != nil {
		t.Fatal(err)
	}
	text := "[[domain]]\nname = \"gw.test\"\ncert = \"web.pem\"\nkey = \"web.key\"\n[proxy]\nlisten = [\"127.0.0.1:0\"]\n" +
		"[wireguard]\nmode = \"none\"\n[store]\npath = \"store\"\n[admin]\nlisten = \"\"\n" +
		"[[instance]]\napp_id = \"app\"\naddress = \"127.0.0.1\"\n"
	file := filepath.Join(dir, "gateway.toml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	g, err := newGateway(t.Context(), cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = g.close() }()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(g.report())
	}))
	defer server.Close()
	status := func() (string, error) {
		var out bytes.Buffer
		err := showStatus(t.Context(), &out, strings.TrimPrefix(server.URL, "http://"), false, false)
		return fmt.Sprint(&out), err
	}
	if said, err := status(); err != nil || strings.Contains(said, "not ready") {
		t.Errorf("ready: %s, %v", said, err)
	}
	if err := g.tunnel.Close(); err != nil {
		t.Fatal(err)
	}
	if said, err := status(); !errors.Is(err, cli.ErrReported) || !strings.Contains(said, "The tunnel is not ready") {
		t.Errorf("not ready: %s, %v", said, err)
	}
}
