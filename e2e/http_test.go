package e2e

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
)

// serveHTTP serves h on a port of c, over HTTP/1.1 and cleartext HTTP/2.
func (c *cvm) serveHTTP(t *testing.T, addr string, h http.Handler) {
	t.Helper()
	var both http.Protocols
	both.SetHTTP1(true)
	both.SetUnencryptedHTTP2(true)
	srv := &http.Server{Handler: h, Protocols: &both, ReadHeaderTimeout: patience}
	l := c.host.Listen(t, addr)
	ended := async(func() error { return srv.Serve(l) })
	t.Cleanup(func() {
		srv.Close()
		if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
}

// describe answers with what the instance saw of the request.
func describe(w http.ResponseWriter, r *http.Request) {
	n, err := io.Copy(io.Discard, r.Body)
	_, _ = fmt.Fprintf(w, "%s %s host=%s body=%d err=%v\n", r.Proto, r.URL.Path, r.Host, n, err)
}

// curl fetches a page of a server name.
func (w *world) curl(serverName string, args ...string) (string, error) {
	return w.run("", "curl", append([]string{
		"--silent", "--show-error", "--cacert", w.root(),
		"--resolve", serverName + ":443:" + gateway4 + ",[" + gateway6 + "]",
		"--write-out", "code=%{http_code} version=%{http_version} peer=%{remote_ip}", "https://" + serverName + "/page",
	}, args...)...)
}

func TestCurl(t *testing.T) {
	w := newWorld(t, "curl")
	g := w.start()
	w.cvms[0].serveHTTP(t, ":80", http.HandlerFunc(describe))
	w.cvms[0].serveHTTP(t, ":8080", http.HandlerFunc(describe))

	for _, tt := range []struct {
		name, suffix string
		args         []string
		want         []string
	}{
		{"SpeaksHTTP11", "", nil, []string{"HTTP/1.1 /page", "body=0", "code=200 version=1.1"}},
		{"ReachesAPort", "8080", nil, []string{"HTTP/1.1 /page host=" + name("alpha", "8080"), "code=200 version=1.1"}},
		{"SpeaksHTTP2OnAGName", "8080g", []string{"--http2"}, []string{"HTTP/2.0 /page", "code=200 version=2"}},
		{"IsNotOfferedHTTP2OnAPlainName", "8080", []string{"--http2"}, []string{"HTTP/1.1 /page", "code=200 version=1.1"}},
		{"ComesOverIPv6", "", []string{"-6"}, []string{"code=200", "peer=" + gateway6}},
		{"Uploads", "", []string{"--data-binary", "@/proc/self/exe", "--header", "Expect:"}, []string{"code=200", "err=<nil>"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := w.in(t)
			out, err := w.curl(name("alpha", tt.suffix), tt.args...)
			if err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			for _, want := range tt.want {
				if !strings.Contains(out, want) {
					t.Errorf("no %q in %q", want, out)
				}
			}
		})
	}

	line := g.access(name("alpha", ""))
	for key, want := range map[string]string{"app": "alpha", "instance": "i1", "relay": "tls"} {
		wantField(t, line, key, want)
	}
}

func TestWebSocketLivesThroughTenThousandMessages(t *testing.T) {
	w := newWorld(t)
	w.start()
	w.cvms[0].serveHTTP(t, ":80", http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(rw, r, nil)
		if err != nil {
			return
		}
		defer c.CloseNow()
		for {
			kind, data, err := c.Read(r.Context())
			if err != nil || c.Write(r.Context(), kind, data) != nil {
				return
			}
		}
	}))

	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	c, _, err := websocket.Dial(ctx, "wss://"+name("alpha", "")+"/", &websocket.DialOptions{HTTPClient: w.httpClient()})
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseNow()
	for i := range 10_000 {
		sent := fmt.Sprintf("message %d %s", i, strings.Repeat("x", i%1000))
		if err := c.Write(ctx, websocket.MessageText, []byte(sent)); err != nil {
			t.Fatalf("message %d: %v", i, err)
		}
		if _, got, err := c.Read(ctx); err != nil || string(got) != sent {
			t.Fatalf("message %d came back as %.40q, %v", i, got, err)
		}
	}
	if err := c.Close(websocket.StatusNormalClosure, "done"); err != nil {
		t.Errorf("close: %v", err)
	}
}

// httpClient resolves every name to the gateway.
func (w *world) httpClient() *http.Client {
	return &http.Client{Transport: &http.Transport{
		DialContext:     func(context.Context, string, string) (net.Conn, error) { return w.tryDial() },
		TLSClientConfig: &tls.Config{RootCAs: w.ca.Pool()},
	}}
}

func TestGRPCCallIsAnsweredOnAGName(t *testing.T) {
	w := newWorld(t)
	w.start()
	srv := grpc.NewServer()
	grpc_health_v1.RegisterHealthServer(srv, health.NewServer())
	l := w.cvms[0].host.Listen(t, ":50051")
	ended := async(func() error { return srv.Serve(l) })
	t.Cleanup(func() {
		srv.Stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})

	serverName := name("alpha", "50051g")
	cc, err := grpc.NewClient("passthrough:///"+serverName+":443",
		grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) { return w.tryDial() }),
		grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{RootCAs: w.ca.Pool()})))
	if err != nil {
		t.Fatal(err)
	}
	defer cc.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	client := grpc_health_v1.NewHealthClient(cc)
	resp, err := client.Check(ctx, &grpc_health_v1.HealthCheckRequest{})
	if err != nil || resp.GetStatus() != grpc_health_v1.HealthCheckResponse_SERVING {
		t.Errorf("check: %v, %v", resp, err)
	}

	// A stream whose first message comes and whose next one never does.
	watch, cancelWatch := context.WithTimeout(ctx, 10*time.Second)
	defer cancelWatch()
	stream, err := client.Watch(watch, &grpc_health_v1.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); err != nil {
		t.Errorf("stream: %v", err)
	}
}
