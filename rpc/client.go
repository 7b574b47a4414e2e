package rpc

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"sallyport/internal/vm"
	"sallyport/rpc/gatewaypb"
	"sallyport/rpc/internal/pbjson"
)

// The times of a guest's client.
const (
	connectTimeout  = 5 * time.Second
	registerTimeout = 60 * time.Second
)

// maxAnswer bounds what a gateway may answer, in bytes: a thousand nodes fit.
const maxAnswer = 1 << 20

// Client registers at one gateway, as a dstack guest does. It may be used
// concurrently.
type Client struct {
	// URL is the gateway's, as in a guest's gateway_urls: https://host:port, with
	// or without /prpc.
	URL string

	// Certificate is the guest's: leaf, app CA, KMS root.
	Certificate tls.Certificate

	// Roots are what the server's certificate must lead to: the KMS root alone.
	Roots *x509.CertPool

	// CheckServer returns an error unless the app id of the server's certificate is that of a
	// gateway to be trusted with the guest's traffic. It is called after the chain and the
	// host name are verified and before anything is sent. Nil refuses every server.
	CheckServer func(leaf *x509.Certificate) error

	// InsecureAnyServer accepts any server, as a guest does that is configured with the
	// gateway app id "any". Anybody on the path gets the guest's traffic.
	InsecureAnyServer bool
}

// Register registers the guest, and returns what it is to set up. It tries once.
// An error wraps ErrNoAttestation if the gateway wants a certificate with a quote.
func (c *Client) Register(ctx context.Context, r Registration) (Answer, error) {
	answer, err := c.register(ctx, r)
	if err != nil {
		return Answer{}, fmt.Errorf("register at %s: %w", c.URL, err)
	}
	return answer, nil
}

func (c *Client) register(ctx context.Context, r Registration) (Answer, error) {
	to, err := methodURL(c.URL, "RegisterCvm")
	if err != nil {
		return Answer{}, err
	}
	body, err := pbjson.Marshal(requestOf(r))
	if err != nil {
		return Answer{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, registerTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, bytes.NewReader(body))
	if err != nil {
		return Answer{}, err
	}
	req.Header.Set("Accept", "*/*")
	req.Header["User-Agent"] = nil // guests send none
	transport := c.transport()
	defer transport.CloseIdleConnections()
	res, err := transport.RoundTrip(req) // which follows no redirection
	if err != nil {
		return Answer{}, err
	}
	defer res.Body.Close()
	if body, err = readAnswer(res, maxAnswer); err != nil {
		return Answer{}, err
	}
	var out gatewaypb.RegisterCvmResponse
	if err := pbjson.Unmarshal(body, &out); err != nil {
		return Answer{}, wrap("invalid answer", err)
	}
	answer, err := parseAnswer(&out)
	return answer, wrap("invalid answer", err)
}

// CheckURL returns why no gateway has this URL, or nil.
func CheckURL(gateway string) error {
	_, err := methodURL(gateway, "")
	return err
}

// methodURL does to a gateway_url what guests do.
func methodURL(gateway, method string) (string, error) {
	u, err := url.Parse(gateway)
	if err != nil {
		return "", err
	}
	if u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return "", errors.New("want a URL such as https://gateway.example.com:8000")
	}
	base := strings.TrimRight(gateway, "/")
	if !strings.HasSuffix(base, "/prpc") {
		base += "/prpc"
	}
	return base + "/" + method + "?json", nil
}

func requestOf(r Registration) *gatewaypb.RegisterCvmRequest {
	out := &gatewaypb.RegisterCvmRequest{ClientPublicKey: r.Key.String()}
	if r.Policy.State() == vm.PolicyUnknown {
		return out
	}
	out.PortPolicy = &gatewaypb.PortPolicy{RestrictMode: r.Policy.State() == vm.PolicyRestricted}
	for _, rule := range r.Policy.Rules() {
		out.PortPolicy.Ports = append(out.PortPolicy.Ports, &gatewaypb.PortAttrs{Port: uint32(rule.Port), Pp: rule.Proxy})
	}
	return out
}

// transport is for one registration: a new connection proves that the gateway is
// still the same.
func (c *Client) transport() *http.Transport {
	d := net.Dialer{Timeout: connectTimeout}
	return &http.Transport{
		DialContext:         d.DialContext,
		TLSHandshakeTimeout: connectTimeout,
		TLSClientConfig:     c.tlsConfig(),
		ForceAttemptHTTP2:   true,
		DisableCompression:  true, // its size is bounded as it is sent
	}
}

func (c *Client) tlsConfig() *tls.Config {
	t := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: c.Roots}
	if c.Roots == nil {
		t.RootCAs = x509.NewCertPool() // nil would mean the system's
	}
	if len(c.Certificate.Certificate) > 0 {
		// Whatever authorities the server names: it is the only one there is.
		t.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &c.Certificate, nil }
	}
	if c.InsecureAnyServer {
		t.InsecureSkipVerify = true
		return t
	}
	t.VerifyConnection = func(state tls.ConnectionState) error {
		if c.CheckServer == nil {
			return errors.New("the client has no CheckServer: refusing to trust any gateway")
		}
		return c.CheckServer(state.PeerCertificates[0])
	}
	return t
}
