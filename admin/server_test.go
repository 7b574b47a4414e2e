package admin

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// start serves o on a loopback port until the test ends and returns its URL.
func start(t *testing.T, o Options) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- New(o).Serve(ctx, l) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return "http://" + l.Addr().String()
}

func do(t *testing.T, method, url string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(""))
	if err != nil {
		t.Fatal(err)
	}
	tr := &http.Transport{DisableKeepAlives: true}
	resp, err := tr.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}

func TestEachPageAnswersWithItsStatus(t *testing.T) {
	fine := Check{"listener", func() error { return nil }}
	broken := Check{"tunnel", func() error { return errors.New("device wg-gw is down") }}
	joined := Check{"certificate", func() error {
		return errors.Join(errors.New("a.example: expired"), errors.New("b.example: no key"))
	}}
	for _, tt := range []struct {
		name, method, path string
		checks             []Check
		status             int
		body               string
	}{
		{"alive", "GET", "/healthz", []Check{broken}, 200, "ok\n"},
		{"ready without checks", "GET", "/readyz", nil, 200, "ok\n"},
		{"ready", "GET", "/readyz", []Check{fine}, 200, "ok\n"},
		{
			"not ready names each failed check", "GET", "/readyz",
			[]Check{fine, broken, joined},
			503,
			"tunnel: device wg-gw is down\ncertificate: a.example: expired; b.example: no key\n",
		},
		{"index", "GET", "/", nil, 200, index},
		{"head", "HEAD", "/healthz", nil, 200, ""},
		{"unknown page", "GET", "/debug/pprof/", nil, 404, "404 page not found\n"},
		{"write", "POST", "/healthz", nil, 405, "only GET and HEAD\n"},
		{"write to an unknown page", "DELETE", "/x", nil, 405, "only GET and HEAD\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			resp, body := do(t, tt.method, start(t, Options{Checks: tt.checks})+tt.path)
			if resp.StatusCode != tt.status || body != tt.body {
				t.Errorf("%d %q, want %d %q", resp.StatusCode, body, tt.status, tt.body)
			}
		})
	}
}

func TestProfilesAreShownIfAskedFor(t *testing.T) {
	url := start(t, Options{Profiles: true})
	for path, status := range map[string]int{
		"/debug/pprof/":                  200,
		"/debug/pprof/heap":              200,
		"/debug/pprof/goroutine?debug=1": 200,
		"/debug/pprof/profile?seconds=1": 200,
		"/debug/pprof/cmdline":           404, // it may name files of secrets
	} {
		if resp, body := do(t, "GET", url+path); resp.StatusCode != status || body == "" {
			t.Errorf("%s: %d, %d bytes, want %d", path, resp.StatusCode, len(body), status)
		}
	}
}

func TestNoAnswerIsKeptOrGuessed(t *testing.T) {
	url := start(t, Options{})
	for _, path := range []string{"/", "/healthz", "/readyz", "/metrics", "/nothing"} {
		resp, _ := do(t, "GET", url+path)
		for key, want := range map[string]string{"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"} {
			if got := resp.Header.Get(key); got != want {
				t.Errorf("%s: %s is %q, want %q", path, key, got, want)
			}
		}
	}
}

func TestMetricsShowProcessRuntimeAndWhatWasGiven(t *testing.T) {
	own := prometheus.NewCounter(prometheus.CounterOpts{Name: "gateway_doors_total", Help: "Doors."})
	own.Add(3)
	_, body := do(t, "GET", start(t, Options{Collectors: []prometheus.Collector{own}})+"/metrics")
	for _, want := range []string{
		"\ngateway_doors_total 3\n", "\ngo_goroutines ", "\nprocess_open_fds ", "\nprocess_max_fds ",
		"\nprocess_resident_memory_bytes ",
	} {
		if !strings.Contains("\n"+body, want) {
			t.Errorf("no %q in the metrics", strings.TrimSpace(want))
		}
	}
}

func TestTwoServersInOneProcessDoNotShareCounters(t *testing.T) {
	c := prometheus.NewGauge(prometheus.GaugeOpts{Name: "gateway_here", Help: "Here."})
	start(t, Options{Collectors: []prometheus.Collector{c}})
	if _, body := do(t, "GET", start(t, Options{})+"/metrics"); strings.Contains(body, "gateway_here") {
		t.Error("the second server shows the first one's metric")
	}
}

func TestOversizedHeaderIsRefused(t *testing.T) {
	url := start(t, Options{})
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	// net/http allows 4 KiB beyond the limit it was given.
	go func() { // the server may close before it has read all
		_, _ = fmt.Fprintf(conn, "GET /healthz HTTP/1.1\r\nHost: x\r\nX: %s\r\n\r\n", strings.Repeat("x", maxHeaderBytes+4<<10))
	}()
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("status %d, want 431", resp.StatusCode)
	}
}

func TestStopLetsTheRequestUnderWayFinish(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	slow := Check{"slow", func() error { close(entered); <-release; return nil }}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- New(Options{Checks: []Check{slow}}).Serve(ctx, l) }()

	req, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+l.Addr().String()+"/readyz", nil)
	if err != nil {
		t.Fatal(err)
	}
	answer := make(chan string, 1)
	go func() {
		resp, err := (&http.Transport{}).RoundTrip(req)
		if err != nil {
			answer <- err.Error()
			return
		}
		defer resp.Body.Close()
		answer <- resp.Status
	}()
	<-entered
	stop()
	for { // until the stop has reached the listener
		conn, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			break
		}
		conn.Close()
	}
	close(release)
	if got := <-answer; got != "200 OK" {
		t.Errorf("the request under way ended with %q", got)
	}
	if err := <-ended; err != nil {
		t.Errorf("Serve: %v", err)
	}
}

func TestLostListenerIsAnError(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if err := New(Options{}).Serve(t.Context(), l); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Serve on a closed listener: %v, want net.ErrClosed", err)
	}
}
