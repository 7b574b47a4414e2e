package rpc

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// A gateway that is itself a CVM asks its dstack guest agent for a certificate:
// HTTP over a Unix socket, POST /GetTlsKey?json. The agent makes the key, has the
// KMS sign it and answers both, with the chain up to the KMS root. That root is
// what guests' certificates lead to.

// Agent is the dstack guest agent of this CVM.
type Agent struct {
	Socket   string   // such as /var/run/dstack.sock
	AltNames []string // host names in guests' gateway_urls
}

const (
	agentTimeout   = 60 * time.Second // it makes a quote and asks the KMS
	maxAgentAnswer = 4 << 20          // the leaf has a quote and an event log in it
	maxChain       = 10

	// renewBefore is how long before its end a certificate is renewed, or a third
	// of its life if that is shorter.
	renewBefore = 30 * 24 * time.Hour
	minRetry    = time.Minute
	maxRetry    = time.Hour
)

type agentSource struct {
	Agent
	client *http.Client
}

func newAgentSource(a Agent) *agentSource {
	var d net.Dialer
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) { return d.DialContext(ctx, "unix", a.Socket) }
	return &agentSource{a, &http.Client{
		Timeout:       agentTimeout,
		Transport:     &http.Transport{DialContext: dial, DisableKeepAlives: true, DisableCompression: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// wait waits until the certificate is to be renewed; after a failure, longer each
// time.
func (s *agentSource) wait(leaf *x509.Certificate, now time.Time, failures int) time.Duration {
	if failures > 0 {
		return min(minRetry<<min(failures-1, 10), maxRetry)
	}
	before := min(renewBefore, leaf.NotAfter.Sub(leaf.NotBefore)/3)
	return max(leaf.NotAfter.Sub(now)-before, minRetry)
}

// load asks for a new key.
func (s *agentSource) load(ctx context.Context) (material, error) {
	answer, err := s.getTLSKey(ctx)
	if err != nil {
		return material{}, fmt.Errorf("ask the guest agent at %s: %w", s.Socket, err)
	}
	n := len(answer.Chain)
	if n < 2 || n > maxChain {
		return material{}, fmt.Errorf("the guest agent's chain has %d certificates: want the leaf, …, the KMS root", n)
	}
	return material{
		cert: []byte(strings.Join(answer.Chain, "\n")),
		key:  []byte(answer.Key),
		ca:   []byte(answer.Chain[n-1]),
	}, nil
}

type tlsKeyRequest struct {
	Subject         string   `json:"subject"`
	AltNames        []string `json:"alt_names"`
	UsageRATLS      bool     `json:"usage_ra_tls"`
	UsageServerAuth bool     `json:"usage_server_auth"`
	UsageClientAuth bool     `json:"usage_client_auth"`
	WithAppInfo     bool     `json:"with_app_info"`
}

type tlsKeyAnswer struct {
	Key   string   `json:"key"`
	Chain []string `json:"certificate_chain"`
}

func (s *agentSource) getTLSKey(ctx context.Context) (answer tlsKeyAnswer, err error) {
	names := append([]string{}, s.AltNames...) // null is no list for the agent
	question, err := json.Marshal(tlsKeyRequest{"dstack-gateway", names, true, true, true, true})
	if err != nil {
		return tlsKeyAnswer{}, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://dstack/GetTlsKey?json", bytes.NewReader(question))
	if err != nil {
		return tlsKeyAnswer{}, err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := s.client.Do(req)
	if err != nil {
		return tlsKeyAnswer{}, err
	}
	defer res.Body.Close()
	body, err := readAnswer(res, maxAgentAnswer)
	if err != nil {
		return tlsKeyAnswer{}, err
	}
	if json.Unmarshal(body, &answer) != nil { // its error might quote the key
		return tlsKeyAnswer{}, errors.New("the answer to GetTlsKey is not the JSON of a key and a certificate chain")
	}
	return answer, nil
}

// readAnswer is the body of an answer of up to limit bytes. Any other status than
// 2xx is an error with the beginning of the body.
func readAnswer(res *http.Response, limit int64) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(res.Body, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(body)) > limit {
		return nil, fmt.Errorf("the answer is larger than %d bytes", limit)
	}
	if res.StatusCode/100 != 2 {
		return nil, &refusal{res.StatusCode, string(body[:min(len(body), 1024)])}
	}
	return body, nil
}

// refusal is an answer that says no.
type refusal struct {
	status int
	body   string
}

func (r *refusal) Error() string {
	return fmt.Sprintf("status %d: %s", r.status, strings.TrimSpace(r.body))
}

// Is reports whether the answer asks for a quoted certificate.
func (r *refusal) Is(target error) bool {
	return target == ErrNoAttestation && strings.Contains(r.body, ErrNoAttestation.Error())
}
