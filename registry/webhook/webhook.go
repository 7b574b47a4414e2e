// Package webhook asks a service of the operator whether an instance may register. Its
// Authorize is registry.Options.Authorize.
package webhook

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"sallyport/registry"
)

const (
	defaultTimeout = 5 * time.Second
	maxConns       = 32
	maxAnswer      = 64 << 10 // bytes read so that the connection can be used again
	maxHead        = 64 << 10
)

// Webhook posts the attested app info as JSON. Any status from 200 to 299 allows the
// registration. One from 400 to 499 denies it, except 408, 425 and 429, which ask for a later
// try. Any other status, a redirect, a timeout, or a failed connection is an error of the
// webhook: it neither allows nor denies.
type Webhook struct {
	url    string
	client http.Client
}

// body is dstack's app info in JSON: bytes as hex.
type body struct {
	AppID       string `json:"app_id"`
	ComposeHash string `json:"compose_hash"`
	InstanceID  string `json:"instance_id"`
	registry.Facts
}

// New returns a webhook at address, an http or https URL. Authorize waits up to timeout for a
// whole answer; 0 is 5 seconds.
func New(address string, timeout time.Duration) (*Webhook, error) {
	u, err := url.Parse(address)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return nil, fmt.Errorf("webhook %.200q: want an http or https URL", address)
	}
	return &Webhook{
		url: address,
		client: http.Client{
			Timeout:       cmp.Or(timeout, defaultTimeout),
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
			Transport: &http.Transport{
				MaxConnsPerHost:        maxConns,
				MaxIdleConnsPerHost:    maxConns,
				IdleConnTimeout:        time.Minute,
				MaxResponseHeaderBytes: maxHead,
			},
		},
	}, nil
}

// Authorize returns nil if the webhook allows q, and an error that wraps registry.ErrDenied if it
// denies q. It may be called concurrently.
func (w *Webhook) Authorize(ctx context.Context, q registry.Request) error {
	text, err := json.Marshal(newBody(q))
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url, bytes.NewReader(text))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := w.client.Do(req)
	if err != nil {
		if of, ok := errors.AsType[*url.Error](err); ok {
			err = of.Err // without the URL, which is not for guests
		}
		return fmt.Errorf("cannot reach the webhook: %w", err)
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, maxAnswer))
	switch code := res.StatusCode; {
	case code/100 == 2:
		return nil
	case code/100 != 4, code == http.StatusRequestTimeout, code == http.StatusTooEarly, code == http.StatusTooManyRequests:
		return fmt.Errorf("the webhook answered with status %d", code)
	default:
		return fmt.Errorf("%w: the webhook answered with status %d", registry.ErrDenied, code)
	}
}

func newBody(q registry.Request) body {
	return body{
		AppID:       string(q.App),
		ComposeHash: q.Compose.String(),
		InstanceID:  string(q.Instance),
		Facts:       q.Facts,
	}
}
