package registry

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
)

const (
	defaultWebhookTimeout = 5 * time.Second
	maxWebhookConns       = 32
	maxWebhookAnswer      = 64 << 10 // bytes read so that the connection can be used again
	maxWebhookHead        = 64 << 10
)

// Webhook asks a service of the operator's whether a registration is allowed: it is sent
// the attested app info as JSON, and any status from 200 to 299 allows. One from 400 to 499
// denies (ErrDenied), but for those that ask to come again later: 408, 425 and 429. All else is
// an error of the webhook, which says nothing: another status, a redirect, silence, a failing
// connection.
type Webhook struct {
	url    string
	client http.Client
}

// webhookBody is dstack's app info in JSON: bytes as hex.
type webhookBody struct {
	AppID       string `json:"app_id"`
	ComposeHash string `json:"compose_hash"`
	InstanceID  string `json:"instance_id"`
	factsBody
}

// NewWebhook asks at address, an http or https URL, and waits up to timeout for the
// whole of an answer; 0 is 5 seconds.
func NewWebhook(address string, timeout time.Duration) (*Webhook, error) {
	u, err := url.Parse(address)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return nil, fmt.Errorf("webhook %.200q: want an http or https URL", address)
	}
	return &Webhook{
		url: address,
		client: http.Client{
			Timeout:       cmp.Or(timeout, defaultWebhookTimeout),
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
			Transport: &http.Transport{
				MaxConnsPerHost:        maxWebhookConns,
				MaxIdleConnsPerHost:    maxWebhookConns,
				IdleConnTimeout:        time.Minute,
				MaxResponseHeaderBytes: maxWebhookHead,
			},
		},
	}, nil
}

// Authorize returns nil if the webhook allows q, ErrDenied, wrapped, if it denies. It may be
// called concurrently.
func (w *Webhook) Authorize(ctx context.Context, q Request) error {
	body, err := json.Marshal(newWebhookBody(q))
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := w.client.Do(req)
	if err != nil {
		if of, ok := errors.AsType[*url.Error](err); ok {
			err = of.Err // without the URL, which is not for guests
		}
		return fmt.Errorf("the webhook cannot be asked: %w", err)
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, maxWebhookAnswer))
	switch code := res.StatusCode; {
	case code/100 == 2:
		return nil
	case code/100 != 4, code == http.StatusRequestTimeout, code == http.StatusTooEarly, code == http.StatusTooManyRequests:
		return fmt.Errorf("the webhook answers status %d", code)
	default:
		return fmt.Errorf("%w: the webhook answers status %d", ErrDenied, code)
	}
}

func newWebhookBody(q Request) webhookBody {
	return webhookBody{
		AppID:       string(q.App),
		ComposeHash: q.Compose.String(),
		InstanceID:  string(q.Instance),
		factsBody:   newFactsBody(q.Facts),
	}
}
