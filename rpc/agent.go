package rpc

import (
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"sallyport/internal/backoff"
	"sallyport/internal/dstackagent"
)

// A gateway that is itself a CVM asks its dstack guest agent for a certificate. The
// agent makes the key, has the KMS sign it and answers both, with the chain up to
// the KMS root. That root is what guests' certificates lead to.

// Agent is the dstack guest agent of this CVM.
type Agent struct {
	Socket   string   // such as /var/run/dstack.sock
	AltNames []string // host names in guests' gateway_urls
}

const (
	maxChain = 10

	// renewBefore is how long before its end a certificate is renewed, or a third
	// of its life if that is shorter.
	renewBefore = 30 * 24 * time.Hour
	minRetry    = time.Minute
	maxRetry    = time.Hour
)

type agentSource struct {
	Agent
	client *dstackagent.Client
}

func newAgentSource(a Agent) *agentSource { return &agentSource{a, dstackagent.New(a.Socket)} }

// wait waits until the certificate is to be renewed; after a failure, longer each
// time.
func (s *agentSource) wait(leaf *x509.Certificate, now time.Time, failures int) time.Duration {
	if failures > 0 {
		return backoff.Double(minRetry, maxRetry, failures)
	}
	before := min(renewBefore, leaf.NotAfter.Sub(leaf.NotBefore)/3)
	return max(leaf.NotAfter.Sub(now)-before, minRetry)
}

// load asks for a new key.
func (s *agentSource) load(ctx context.Context) (material, error) {
	answer, err := s.client.GetTLSKey(ctx, dstackagent.TLSKeyRequest{
		Subject:         "dstack-gateway",
		AltNames:        s.AltNames,
		UsageRATLS:      true,
		UsageServerAuth: true,
		UsageClientAuth: true,
		WithAppInfo:     true,
	})
	if err != nil {
		return material{}, err
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
