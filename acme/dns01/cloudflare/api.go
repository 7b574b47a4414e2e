package cloudflare

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"sallyport/internal/backoff"
)

const (
	maxBody = 1 << 20 // bytes of an answer; a page of 50 zones has about 100,000
	tries   = 4
	retry   = time.Second // the pause before the second try; doubles
	// maxWait bounds what Retry-After asks for: a longer wait is an error instead.
	maxWait = 30 * time.Second
)

// envelope is the part that all answers have in common.
type envelope struct {
	Success bool            `json:"success"`
	Errors  []apiError      `json:"errors"`
	Result  json.RawMessage `json:"result"`
	Info    pageInfo        `json:"result_info"`
}

type pageInfo struct {
	TotalPages int `json:"total_pages"`
}

// call does one request, and again while its failure may pass. All requests may be
// repeated: a record that a lost answer had made is found to exist. result may be
// nil.
func (p *Provider) call(ctx context.Context, method, path string, body, result any) (pageInfo, error) {
	var data []byte
	if body != nil {
		var err error
		if data, err = json.Marshal(body); err != nil {
			return pageInfo{}, err
		}
	}
	for try := 1; ; try++ {
		info, err := p.try(ctx, method, path, data, result)
		var f *failure
		isAnswer := errors.As(err, &f)
		if err == nil || isAnswer && !f.temporary() || ctx.Err() != nil {
			return info, err
		}
		pause := backoff.Double(retry, maxWait, try)
		if isAnswer {
			pause = max(pause, f.retryAfter)
		}
		if try == tries || pause > maxWait {
			return info, fmt.Errorf("given up after %d tries: %w", try, err)
		}
		if err := sleep(ctx, pause); err != nil {
			return info, err
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// try does one request once. The error is a *failure if the API has answered.
func (p *Provider) try(ctx context.Context, method, path string, data []byte, result any) (pageInfo, error) {
	r, err := http.NewRequestWithContext(ctx, method, p.base+path, bytes.NewReader(data))
	if err != nil {
		return pageInfo{}, err
	}
	r.Header.Set("Authorization", "Bearer "+p.token)
	r.Header.Set("User-Agent", "sallyport")
	if data != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	answer, err := p.client.Do(r)
	if err != nil {
		return pageInfo{}, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxBody+1))
	if err != nil {
		return pageInfo{}, err
	}
	var e envelope
	ok := len(text) <= maxBody && json.Unmarshal(text, &e) == nil
	switch {
	case answer.StatusCode/100 != 2 || ok && !e.Success:
		return pageInfo{}, &failure{status: answer.StatusCode, errors: e.Errors, retryAfter: retryAfter(answer.Header)}
	case !ok:
		return pageInfo{}, &failure{status: answer.StatusCode, errors: []apiError{{Message: "the answer is not JSON of at most 1 MiB"}}}
	case result != nil && json.Unmarshal(e.Result, result) != nil:
		return pageInfo{}, &failure{status: answer.StatusCode, errors: []apiError{{Message: "the answer's result is not what was asked for"}}}
	}
	return e.Info, nil
}

// retryAfter reads the header as seconds or as a date (RFC 9110, 10.2.3).
func retryAfter(h http.Header) time.Duration {
	text := h.Get("Retry-After")
	if n, err := strconv.ParseUint(text, 10, 16); err == nil {
		return time.Duration(n) * time.Second
	}
	if t, err := http.ParseTime(text); err == nil {
		return time.Until(t)
	}
	return 0
}
