package dstackagent

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// start serves h on a Unix socket until the test ends.
func start(t *testing.T, h http.HandlerFunc) *Client {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "dstack.sock")
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
	return New(socket)
}

// saying is an agent that answers every question alike.
func saying(t *testing.T, answer string) *Client {
	t.Helper()
	return start(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, answer) })
}

// Each typed method asks as the agent wants it, and reads what it answers.
func TestMethodsSpeakTheAgentsLanguage(t *testing.T) {
	var question string
	answer := ""
	c := start(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		question = r.Method + " " + r.RequestURI + " " + string(body)
		_, _ = io.WriteString(w, answer)
	})
	for _, x := range []struct {
		call                   func(context.Context) (any, error)
		answer, wants, returns string
	}{
		{
			func(ctx context.Context) (any, error) { return c.GetTLSKey(ctx, TLSKeyRequest{Subject: "x"}) },
			`{"key":"K","certificate_chain":["A","B"],"new":1}`,
			`POST /GetTlsKey?json {"subject":"x","alt_names":[],"usage_ra_tls":false,"usage_server_auth":false,"usage_client_auth":false,"with_app_info":false}`,
			`{"key":"K","certificate_chain":["A","B"]}`,
		},
		{
			func(ctx context.Context) (any, error) { return c.Info(ctx) },
			`{"app_id":"01","instance_id":null,"app_cert":"c","tcb_info":"t","app_name":"n","device_id":"02","mr_aggregated":"03","os_image_hash":"","key_provider_info":"k","compose_hash":"04","vm_config":"v","cloud_vendor":"a","cloud_product":"b"}`,
			`POST /Info?json {}`,
			`{"app_id":"01","instance_id":"","app_cert":"c","tcb_info":"t","app_name":"n","device_id":"02","mr_aggregated":"03","os_image_hash":"","key_provider_info":"k","compose_hash":"04","vm_config":"v","cloud_vendor":"a","cloud_product":"b"}`,
		},
	} {
		answer = x.answer
		got, err := x.call(t.Context())
		if err != nil {
			t.Error(err)
			continue
		}
		returns, err := json.Marshal(got)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{x.wants, x.returns}, []string{question, string(returns)}); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}

func TestAnswerMayBeTakenAsItCame(t *testing.T) {
	var raw json.RawMessage
	if err := saying(t, `{"b" : 1,"a":2}`).Call(t.Context(), "Info", struct{}{}, &raw); err != nil || string(raw) != `{"b" : 1,"a":2}` {
		t.Errorf("%s, %v", raw, err)
	}
}

func TestBadAnswerIsAnErrorThatTellsNoKey(t *testing.T) {
	for answer, want := range map[string]string{
		"":                               "is not the JSON of GetTlsKey",
		"secret":                         "is not the JSON of GetTlsKey",
		`{"key":["secret"]}`:             "is not the JSON of GetTlsKey",
		`{"key":"secret"} secret`:        "is not the JSON of GetTlsKey",
		strings.Repeat(" ", MaxAnswer+1): "larger than 4194304 bytes",
	} {
		got, err := saying(t, answer).GetTLSKey(t.Context(), TLSKeyRequest{})
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") || got.Key != "" {
			t.Errorf("%.20q: %v, %v; want %q", answer, got, err, want)
		}
	}
	if _, err := saying(t, `{"app_id":"0g"}`).Info(t.Context()); err == nil {
		t.Error("took text that is not hex")
	}
}

func TestRefusalIsToldUpToALimit(t *testing.T) {
	c := start(t, func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, `{"error":"no TDX here"}`+strings.Repeat("x", 1<<20), http.StatusBadRequest)
	})
	_, err := c.Info(t.Context())
	if err == nil || !strings.Contains(err.Error(), `status 400: {"error":"no TDX here"}`) || len(err.Error()) > 2*maxRefusal {
		t.Errorf("%.200v", err)
	}
}

func TestRedirectionIsNotFollowed(t *testing.T) {
	asked := 0
	c := start(t, func(w http.ResponseWriter, r *http.Request) {
		asked++
		http.Redirect(w, r, "/Elsewhere", http.StatusFound)
	})
	if _, err := c.Info(t.Context()); err == nil || !strings.Contains(err.Error(), "status 302") || asked != 1 {
		t.Errorf("asked %d times, %v", asked, err)
	}
}

func TestErrorNamesSocketAndMethod(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "not.sock")
	_, err := New(socket).Info(t.Context())
	if err == nil || !strings.Contains(err.Error(), socket+" for Info: ") {
		t.Error(err)
	}
}

func TestCallEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	c := start(t, func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	})
	if _, err := c.Info(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
