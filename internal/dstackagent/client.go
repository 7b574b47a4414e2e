package dstackagent

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

const (
	timeout    = 60 * time.Second // the agent waits for a quote, and for the KMS
	maxRefusal = 1024             // of the text of a refusal, in bytes

	// MaxAnswer bounds an answer in bytes. The largest has a quote and an event log,
	// which take some 50 kB in hex.
	MaxAnswer = 4 << 20
)

// Client is a guest agent. All methods may be called concurrently; each takes a
// connection of its own, and no longer than a minute.
type Client struct {
	socket string
	http   http.Client
}

// New makes a Client of the agent that listens at socket, a path such as
// /var/run/dstack.sock. It does no I/O.
func New(socket string) *Client {
	var d net.Dialer
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) { return d.DialContext(ctx, "unix", socket) }
	return &Client{socket, http.Client{
		Timeout: timeout,
		// The size of an answer is bounded as it is sent, so it must not be compressed.
		Transport:     &http.Transport{DialContext: dial, DisableKeepAlives: true, DisableCompression: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Call calls method with the JSON of in, and decodes the answer into out, a
// pointer; a *json.RawMessage takes it as it came. An error names the socket and
// the method. What it repeats of the answer is the beginning of a refusal: an
// answer that grants something may have a private key in it.
func (c *Client) Call(ctx context.Context, method string, in, out any) error {
	if err := c.call(ctx, method, in, out); err != nil {
		return fmt.Errorf("ask the guest agent at %s for %s: %w", c.socket, method, err)
	}
	return nil
}

func (c *Client) call(ctx context.Context, method string, in, out any) error {
	question, err := json.Marshal(in)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://dstack/"+method+"?json", bytes.NewReader(question))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := c.http.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	answer, err := read(res)
	if err != nil {
		return err
	}
	if json.Unmarshal(answer, out) != nil { // its error might quote a key
		return fmt.Errorf("the answer is not the JSON of %s", method)
	}
	return nil
}

func read(res *http.Response) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(res.Body, MaxAnswer+1))
	switch {
	case err != nil:
		return nil, err
	case len(body) > MaxAnswer:
		return nil, fmt.Errorf("the answer is larger than %d bytes", MaxAnswer)
	case res.StatusCode/100 != 2:
		return nil, fmt.Errorf("status %d: %s", res.StatusCode, strings.TrimSpace(string(body[:min(len(body), maxRefusal)])))
	}
	return body, nil
}
