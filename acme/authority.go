package acme

import (
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/mholt/acmez/v3/acme"
)

// authority is a certificate authority with the client that talks to it.
type authority struct {
	Authority
	key    string // names it in the store
	client *acme.Client
	close  func()
}

// Bounds of talking to an authority.
const (
	requestTimeout = 30 * time.Second
	pollTimeout    = 5 * time.Minute // for one authorization, and for the order
	maxAnswer      = 1 << 20         // bytes of a body
)

func newAuthority(a Authority, log *slog.Logger) *authority {
	transport := &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: requestTimeout}).DialContext,
		TLSHandshakeTimeout:   requestTimeout,
		ResponseHeaderTimeout: requestTimeout,
		ForceAttemptHTTP2:     true,
		IdleConnTimeout:       time.Minute,
		TLSClientConfig:       &tls.Config{RootCAs: a.Roots, MinVersion: tls.VersionTLS12},
	}
	return &authority{
		Authority: a,
		key:       authorityKey(a.Directory),
		client: &acme.Client{
			Directory:   a.Directory,
			UserAgent:   "sallyport",
			HTTPClient:  &http.Client{Transport: bounded{transport}, Timeout: requestTimeout},
			PollTimeout: pollTimeout,
			Logger:      slog.New(quiet{log.Handler()}),
		},
		close: transport.CloseIdleConnections,
	}
}

// authorityKey names a directory in the store: its host to be read, and a hash,
// since one host may have several.
func authorityKey(directory string) string {
	host := "unknown"
	if u, err := url.Parse(directory); err == nil {
		host = strings.Map(func(r rune) rune {
			if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' || r == '.' {
				return r
			}
			return '-'
		}, strings.ToLower(u.Hostname()))
	}
	sum := sha256.Sum256([]byte(directory))
	return fmt.Sprintf("%.36s-%x", host, sum[:4])
}

// staging is the directory for rehearsals, "" if none is known.
func (a Authority) staging() string {
	switch {
	case a.Staging != "":
		return a.Staging
	case a.Directory == "https://acme-v02.api.letsencrypt.org/directory":
		return "https://acme-staging-v02.api.letsencrypt.org/directory"
	case a.Directory == "https://dv.acme-v02.api.pki.goog/directory":
		return "https://dv.acme-v02.test-api.pki.goog/directory"
	}
	return ""
}

// bounded keeps an authority, or an impostor, from filling the memory.
type bounded struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := b.next.RoundTrip(r)
	if err == nil {
		answer.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(answer.Body, maxAnswer), answer.Body}
	}
	return answer, err
}
