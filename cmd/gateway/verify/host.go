package verify

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"sallyport/cmd/gateway/cli"
	"sallyport/ratls"
	"sallyport/ratls/attestation"
)

// Evidence of a host: in the certificate that it shows, or published beside it.

// hostTimeout is for all that a host is asked.
const hostTimeout = 30 * time.Second

// openSubject is what was read, or what a host of that name shows.
func openSubject(ctx context.Context, what, connect string, data []byte, isFile bool) (s *subject, err error) {
	switch {
	case !isFile:
		s, err = dialSubject(ctx, what, connect)
	case connect != "":
		err = cli.Usage(errors.New("--connect is for hosts, and this is a file"))
	default:
		s, err = parseSubject(data)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	s.what = what + ": " + s.what
	return s, nil
}

// trimScheme takes the host out of what a browser shows.
func trimScheme(what string) string {
	if rest, ok := strings.CutPrefix(what, "https://"); ok {
		what, _, _ = strings.Cut(rest, "/")
	}
	return what
}

// dialSubject asks a host for its certificate, and for what it publishes about it. It
// connects to connect, if that is not "".
func dialSubject(ctx context.Context, host, connect string) (*subject, error) {
	name, port, err := net.SplitHostPort(trimScheme(host))
	if err != nil {
		name, port = strings.Trim(trimScheme(host), "[]"), "443"
	}
	if connect == "" {
		connect = net.JoinHostPort(name, port)
	}
	ctx, cancel := context.WithTimeout(ctx, hostTimeout)
	defer cancel()
	d := tls.Dialer{Config: &tls.Config{
		ServerName:         name,
		InsecureSkipVerify: true, // its evidence is what is verified
	}}
	c, err := d.DialContext(ctx, "tcp", connect)
	if err != nil {
		return nil, fmt.Errorf("is not a file; as a host: %w", err)
	}
	defer c.Close()
	conn := c.(*tls.Conn)
	shown := conn.ConnectionState().PeerCertificates
	leaf := shown[0]
	s, err := certificateSubject(leaf)
	if err == nil {
		s.above = shown[1:min(len(shown), maxChain)]
	}
	if errors.Is(err, ratls.ErrNoAttestation) {
		return publishedEvidence(ctx, conn, name, leaf)
	}
	return s, err
}

// publishedKey is a key of a certificate in /.dstack/acme-info: its evidence are two texts,
// each in JSON again.
type publishedKey struct {
	PublicKey   string `json:"public_key"`
	Quote       string `json:"quote"`
	Attestation string `json:"attestation"`
}

const acmeInfo = "/.dstack/acme-info"

// publishedEvidence is what a gateway publishes about the key of its certificate. Nobody
// else could show it: the host has just proven to hold that key.
func publishedEvidence(ctx context.Context, conn *tls.Conn, name string, leaf *x509.Certificate) (*subject, error) {
	keys, err := publishedKeys(ctx, conn, name)
	if err != nil {
		return nil, fmt.Errorf("its certificate has no evidence, and it publishes none at %s: %w", acmeInfo, err)
	}
	for _, k := range keys {
		if key, err := hex.DecodeString(k.PublicKey); err != nil || !bytes.Equal(key, leaf.RawSubjectPublicKeyInfo) {
			continue
		}
		text := k.Attestation
		if text == "" {
			text = k.Quote
		}
		if text == "" {
			return nil, errors.New("its certificate's key has no evidence: " + acmeInfo + " lists the key without a quote, so it was made outside a CVM")
		}
		s, err := parseGetQuote([]byte(text))
		if err != nil {
			return nil, fmt.Errorf("%s: evidence of its certificate's key: %w", acmeInfo, err)
		}
		s.what = fmt.Sprintf("certificate %q, %s from %s", leaf.Subject, s.what, acmeInfo)
		s.evidence.PublicKey, s.evidence.Tag = leaf.RawSubjectPublicKeyInfo, attestation.TagZTCert
		s.certificate, s.published = leaf, true
		return s, nil
	}
	return nil, fmt.Errorf("its certificate has no evidence, and of the %d keys at %s none is the certificate's", len(keys), acmeInfo)
}

// publishedKeys asks on the connection whose certificate is appraised: another one may end at
// another gateway.
func publishedKeys(ctx context.Context, conn *tls.Conn, name string) ([]publishedKey, error) {
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+hostHeader(name)+acmeInfo, nil)
	if err != nil {
		return nil, err
	}
	req.Close = true
	if err := req.Write(conn); err != nil {
		return nil, err
	}
	resp, err := http.ReadResponse(bufio.NewReader(io.LimitReader(conn, maxSubject)), req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("status %d", resp.StatusCode)
	}
	var info struct {
		Keys []publishedKey `json:"quoted_hist_keys"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&info); err != nil {
		return nil, fmt.Errorf("the answer is not JSON: %w", err)
	}
	return info.Keys, nil
}

// hostHeader puts an IPv6 address in brackets.
func hostHeader(name string) string {
	if strings.Contains(name, ":") {
		return "[" + name + "]"
	}
	return name
}
