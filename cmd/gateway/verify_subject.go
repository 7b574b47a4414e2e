package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"

	"sallyport/ratls"
	"sallyport/ratls/attestation"
)

// What `gateway verify` is given: a host, or one of the forms in which evidence is
// kept. A form is known by its first bytes; the parsers of package ratls do the rest.

// maxSubject bounds a file: an attestation of the largest size in hex, in JSON.
const maxSubject = 4*attestation.MaxSize + 1<<20

// subject is evidence, and what is known about where it is from.
type subject struct {
	what     string
	evidence ratls.Evidence
}

// missing says what such evidence cannot prove.
func (s *subject) missing() (list []string) {
	if len(s.evidence.PublicKey) == 0 {
		list = append(list, "key binding: there is no certificate, so anybody may show this evidence")
	}
	if len(s.evidence.Attestation) == 0 && len(s.evidence.EventLog) == 0 {
		list = append(list, "app: there is no event log, so nobody knows what runs there")
	}
	return list
}

// openSubject takes a file where there is one of that name, else a host.
func openSubject(ctx context.Context, what string) (*subject, error) {
	if _, err := os.Stat(what); err != nil && what != "-" && !strings.ContainsRune(what, os.PathSeparator) {
		return dialSubject(ctx, what)
	}
	data, err := readSubject(what, maxSubject)
	if err != nil {
		return nil, err
	}
	s, err := parseSubject(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	s.what = what + ": " + s.what
	return s, nil
}

// parseSubject finds out the form of data.
func parseSubject(data []byte) (*subject, error) {
	text := bytes.TrimSpace(data)
	if decoded, err := hex.DecodeString(string(bytes.TrimPrefix(text, []byte("0x")))); err == nil && len(decoded) > 0 {
		data, text = decoded, decoded
	}
	switch {
	case len(text) == 0:
		return nil, errors.New("is empty")
	case text[0] == '{':
		return parseGetQuote(text)
	case bytes.HasPrefix(text, []byte("-----BEGIN ")):
		block, _ := pem.Decode(text)
		if block == nil || block.Type != "CERTIFICATE" {
			return nil, errors.New("is PEM, but no certificate")
		}
		return parseCertificate(block.Bytes)
	case text[0] == 0x30: // SEQUENCE
		return parseCertificate(data)
	case isQuote(data):
		return &subject{what: "a quote", evidence: ratls.Evidence{Quote: data}}, nil
	}
	return &subject{what: "an attestation", evidence: ratls.Evidence{Attestation: data}}, nil
}

// isQuote knows a quote by its header: version, key type, TEE type.
func isQuote(b []byte) bool {
	return len(b) >= 8 && binary.LittleEndian.Uint16(b) >= 3 && binary.LittleEndian.Uint16(b) <= 5 &&
		binary.LittleEndian.Uint32(b[4:]) <= 0x81
}

func parseCertificate(der []byte) (*subject, error) {
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return certificateSubject(cert)
}

func certificateSubject(cert *x509.Certificate) (*subject, error) {
	e, err := ratls.EvidenceOf(cert)
	if err != nil {
		return nil, err
	}
	return &subject{what: fmt.Sprintf("certificate %q", cert.Subject), evidence: e}, nil
}

// getQuote is the answer of the guest agent, which /.dstack/acme-info has too.
type getQuote struct {
	Quote       string `json:"quote"`
	EventLog    string `json:"event_log"`
	VMConfig    string `json:"vm_config"`
	Attestation string `json:"attestation"`
}

func parseGetQuote(text []byte) (*subject, error) {
	var doc getQuote
	if err := json.Unmarshal(text, &doc); err != nil {
		return nil, err
	}
	att, err1 := hex.DecodeString(doc.Attestation)
	quote, err2 := hex.DecodeString(doc.Quote)
	switch {
	case err1 != nil || err2 != nil:
		return nil, errors.Join(err1, err2)
	case len(att) > 0:
		return &subject{what: "an attestation", evidence: ratls.Evidence{Attestation: att}}, nil
	case len(quote) > 0:
		return &subject{what: "a quote with its event log", evidence: ratls.Evidence{
			Quote: quote, EventLog: []byte(doc.EventLog), VMConfig: doc.VMConfig,
		}}, nil
	}
	return nil, errors.New("is JSON, but has neither attestation nor quote")
}

// dialSubject asks a host for its certificate, and for what it publishes about it.
func dialSubject(ctx context.Context, host string) (*subject, error) {
	name, port, err := net.SplitHostPort(host)
	if err != nil {
		name, port = host, "443"
	}
	d := tls.Dialer{Config: &tls.Config{
		ServerName:         name,
		InsecureSkipVerify: true, // its evidence is what is verified
	}}
	c, err := d.DialContext(ctx, "tcp", net.JoinHostPort(name, port))
	if err != nil {
		return nil, fmt.Errorf("%s is no file, and as a host: %w", host, err)
	}
	defer c.Close()
	conn := c.(*tls.Conn)
	leaf := conn.ConnectionState().PeerCertificates[0]
	s, err := certificateSubject(leaf)
	if errors.Is(err, ratls.ErrNoAttestation) {
		s, err = publishedEvidence(ctx, conn, name, leaf)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", host, err)
	}
	s.what = host + ": " + s.what
	return s, nil
}

// publishedEvidence is what a gateway publishes about the keys of its certificates.
func publishedEvidence(ctx context.Context, conn *tls.Conn, name string, leaf *x509.Certificate) (*subject, error) {
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+name+"/.dstack/acme-info", nil)
	if err != nil {
		return nil, err
	}
	req.Close = true
	if err := req.Write(conn); err != nil {
		return nil, err
	}
	resp, err := http.ReadResponse(bufio.NewReader(io.LimitReader(conn, maxSubject)), req)
	if err != nil {
		return nil, fmt.Errorf("its certificate has no evidence, and it publishes none: %w", err)
	}
	defer resp.Body.Close()
	var info struct {
		Keys []struct {
			PublicKey   string `json:"public_key"`
			Quote       string `json:"quote"`
			Attestation string `json:"attestation"`
		} `json:"quoted_hist_keys"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&info); err != nil || resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("its certificate has no evidence, and it publishes none: status %d", resp.StatusCode)
	}
	for _, k := range info.Keys {
		if key, err := hex.DecodeString(k.PublicKey); err != nil || !bytes.Equal(key, leaf.RawSubjectPublicKeyInfo) {
			continue
		}
		published := k.Attestation
		if published == "" {
			published = k.Quote
		}
		if published == "" {
			return nil, errors.New("its certificate's key was made where no hardware could vouch for it")
		}
		s, err := parseGetQuote([]byte(published))
		if err != nil {
			return nil, fmt.Errorf("/.dstack/acme-info: %w", err)
		}
		s.evidence.PublicKey, s.evidence.Tag = leaf.RawSubjectPublicKeyInfo, attestation.TagZTCert
		s.what = fmt.Sprintf("certificate %q, evidence from /.dstack/acme-info", leaf.Subject)
		return s, nil
	}
	return nil, errors.New("it publishes no evidence for its certificate's key")
}
