package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"sallyport/internal/gwtest"

	"github.com/pelletier/go-toml/v2"
)

// A gateway is the program under test, running.
type gateway struct {
	*gwtest.Process
	w *world

	config string // the file
}

// A setting is one key of the configuration, in the form section.key.
type setting struct {
	key   string
	value any
}

// start starts the gateway with settings beside the usual ones, and the tunnels
// of the CVMs; it returns when both have shaken hands.
func (w *world) start(settings ...setting) *gateway {
	w.t.Helper()
	g := w.startAlone(programs.tested, nil, settings...)
	w.connectCVMs(g)
	return g
}

// connectCVMs starts the tunnels of the CVMs and waits for their handshakes.
func (w *world) connectCVMs(g *gateway) {
	w.t.Helper()
	for _, c := range w.cvms {
		c.shakeHands(w.t)
	}
	g.waitForHealthy(len(w.cvms))
}

// startAlone starts a gateway without the CVMs. The words of wrap, if any,
// stand before the program's name.
func (w *world) startAlone(program func() (string, error), wrap []string, settings ...setting) *gateway {
	w.t.Helper()
	file, err := program()
	if err != nil {
		w.t.Fatal(err)
	}
	g := &gateway{w: w, config: filepath.Join(w.dir, "gateway.toml")}
	g.configure(settings)
	words := append(slices.Clone(wrap), file, "run", "--config", g.config)
	cmd := exec.CommandContext(w.t.Context(), words[0], words[1:]...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGKILL) }
	g.Process = w.gateway.Start(w.t, cmd)
	w.t.Cleanup(g.mustNotHaveFailed)
	eventually(w.t, patience, "the gateway is ready", func() bool {
		select {
		case <-g.Done():
			w.t.Fatalf("the gateway ended at start: %v", g.Wait(0))
		default:
		}
		return g.get("/readyz") == "ok\n"
	})
	return g
}

// in is the same gateway for a subtest.
func (g *gateway) in(t *testing.T) *gateway {
	sub := *g
	sub.w = g.w.in(t)
	return &sub
}

// mustNotHaveFailed looks for what no test may cause.
func (g *gateway) mustNotHaveFailed() {
	for _, bad := range []string{"DATA RACE", "panic", "goroutine 1 ["} {
		if strings.Contains(g.Log(), bad) {
			g.w.t.Errorf("the gateway's log has %q", bad)
		}
	}
}

func (g *gateway) configure(settings []setting) {
	w := g.w
	cert, key := gwtest.WritePEM(w.t, w.dir, "gateway", w.ca.Server(w.t, "*."+domain))
	keyFile := filepath.Join(w.dir, "wireguard.key")
	if err := os.WriteFile(keyFile, []byte(w.wgKey.String()+"\n"), 0o600); err != nil {
		w.t.Fatal(err)
	}
	tree := map[string]any{
		"domain": []any{map[string]any{"name": domain, "cert": cert, "key": key}},
	}
	var instances []any
	for _, c := range w.cvms {
		instances = append(instances, map[string]any{
			"app_id": c.app, "instance_id": c.id,
			"public_key": c.guest.Key.PublicKey().String(), "address": c.guest.Address.String(),
		})
	}
	tree["instance"] = instances
	for _, s := range append([]setting{
		{"proxy.listen", []string{"0.0.0.0:" + tlsPort, "[::]:" + tlsPort}},
		{"wireguard.mode", gwtest.TunnelMode()},
		{"wireguard.interface", w.link},
		{"wireguard.private_key_file", keyFile},
		{"wireguard.listen_port", wgPort},
		{"wireguard.endpoint", gateway4 + ":" + strconv.Itoa(wgPort)},
		{"wireguard.address", tunnelAddr + "/16"},
		{"wireguard.pool", "10.8.0.0/18"},
		{"store.path", filepath.Join(w.dir, "state")},
		{"admin.listen", adminAddr},
		{"log.access", true},
	}, settings...) {
		place := tree
		path := strings.Split(s.key, ".")
		for _, p := range path[:len(path)-1] {
			if place[p] == nil {
				place[p] = map[string]any{}
			}
			place = place[p].(map[string]any)
		}
		place[path[len(path)-1]] = s.value
	}
	data, err := toml.Marshal(tree)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(g.config, data, 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// get is a page of the operators' server, or "" when there is none to be had.
func (g *gateway) get(path string) string {
	conn, err := g.w.gateway.Dial(g.w.t.Context(), adminAddr)
	if err != nil {
		return ""
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", path); err != nil {
		return ""
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return ""
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return ""
	}
	return string(body)
}

// metric adds up the series of a metric: all of a name, or those that have the
// labels given in braces.
func (g *gateway) metric(series string) float64 {
	want, labels, _ := strings.Cut(strings.TrimSuffix(series, "}"), "{")
	var sum float64
	for line := range strings.Lines(g.get("/metrics")) {
		id, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		base, have, _ := strings.Cut(strings.TrimSuffix(id, "}"), "{")
		if base != want || !hasLabels(have, labels) {
			continue
		}
		v, err := strconv.ParseFloat(value, 64)
		if err != nil {
			g.w.t.Errorf("metric %s: %v", id, err)
		}
		sum += v
	}
	return sum
}

func hasLabels(have, want string) bool {
	if want == "" {
		return true
	}
	for l := range strings.SplitSeq(want, ",") {
		if !strings.Contains(","+have+",", ","+l+",") {
			return false
		}
	}
	return true
}

// waitFor waits until a metric has the value.
func (g *gateway) waitFor(what, series string, value float64) {
	g.w.t.Helper()
	eventually(g.w.t, patience, fmt.Sprintf("%s (%s = %v)", what, series, value), func() bool { return g.metric(series) == value })
}

// waitForHealthy waits until n instances serve; one that has just come up is
// warming for a while.
func (g *gateway) waitForHealthy(n int) {
	g.w.t.Helper()
	eventually(g.w.t, patience, fmt.Sprintf("%d instances are healthy", n), func() bool {
		return g.metric(`gateway_instances{state="fresh"}`)+g.metric(`gateway_instances{state="warming"}`) == float64(n)
	})
}

// atRest waits until no connection is left and returns what the process holds.
func (g *gateway) atRest() (fds, goroutines, rss float64) {
	g.w.t.Helper()
	g.waitFor("every connection to end", "gateway_connections_open", 0)
	return g.metric("process_open_fds"), g.metric("go_goroutines"), g.metric("process_resident_memory_bytes")
}

// mustHoldNoMoreThan checks that the gateway is back to what it held at rest,
// within the few descriptors and goroutines that the questions themselves take,
// and the coroutines that each loop keeps for the next connections to set up.
func (g *gateway) mustHoldNoMoreThan(fds, goroutines float64) {
	g.w.t.Helper()
	pooled := float64(256 * runtime.NumCPU())
	for deadline := time.Now().Add(patience); ; {
		now, more, _ := g.atRest()
		if now <= fds+2 && more <= goroutines+4+pooled {
			return
		}
		if time.Now().After(deadline) {
			g.w.t.Fatalf("descriptors %v → %v, goroutines %v → %v", fds, now, goroutines, more)
		}
	}
}

// access waits for the line of the access log about this server name, and
// returns the last one.
func (g *gateway) access(serverName string) string {
	g.w.t.Helper()
	var found string
	eventually(g.w.t, patience, "an access line for "+serverName, func() bool {
		for line := range strings.Lines(g.Log()) {
			if strings.Contains(line, "server_name="+serverName+" ") && strings.Contains(line, " reason=") {
				found = line
			}
		}
		return found != ""
	})
	return found
}

// wantField checks a key of an access line.
func wantField(t *testing.T, line, key, value string) {
	t.Helper()
	if !strings.Contains(" "+strings.TrimSpace(line)+" ", " "+key+"="+value+" ") {
		t.Errorf("the access line has no %s=%s: %s", key, value, line)
	}
}
