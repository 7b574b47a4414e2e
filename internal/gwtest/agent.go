package gwtest

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"sync/atomic"
	"testing"

	"sallyport/internal/oneline"
)

// Agent is a guest's agent in memory, which is asked for its compose file.
type Agent struct {
	Asked  atomic.Int32 // connections
	Dialed atomic.Value // netip.AddrPort of the last one

	// Answer writes the nth answer, from 1. On an error the agent stays silent until the caller
	// leaves. nil: nobody can connect.
	Answer func(n int32, w io.Writer) error
}

// Dial connects to the agent.
func (a *Agent) Dial(_ context.Context, to netip.AddrPort) (net.Conn, error) {
	n := a.Asked.Add(1)
	a.Dialed.Store(to)
	if a.Answer == nil {
		return nil, errors.New("no route")
	}
	ours, theirs := net.Pipe()
	go func() {
		defer theirs.Close()
		req, err := http.ReadRequest(bufio.NewReader(theirs))
		if err != nil {
			return
		}
		body, _ := io.ReadAll(req.Body)
		if req.Method != http.MethodPost || req.URL.String() != "/prpc/Info?json" || string(body) != "null" {
			fmt.Fprintf(theirs, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
			return
		}
		if a.Answer(n, theirs) != nil {
			_, _ = io.Copy(io.Discard, theirs)
		}
	}()
	return ours, nil
}

// AgentSays returns an Answer with this body.
func AgentSays(body string) func(int32, io.Writer) error {
	return func(_ int32, w io.Writer) error {
		fmt.Fprintf(w, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
		return nil
	}
}

// AgentInfo returns the body of an agent's answer about a compose file.
func AgentInfo(t testing.TB, composeFile string) string {
	t.Helper()
	tcb, err1 := json.Marshal(map[string]any{"app_compose": composeFile, "mrtd": "00"})
	info, err2 := json.Marshal(map[string]any{"tcb_info": string(tcb), "app_name": "x"})
	if err := oneline.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	return string(info)
}
