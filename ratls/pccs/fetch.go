package pccs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"sallyport/ratls/qvl"
)

const (
	serverTimeout = 15 * time.Second // for all four documents; guests wait 60 s for an answer
	maxServers    = 8
	maxBody       = 1 << 20 // Intel's largest documents have some 10 kB
	maxHeader     = 64 << 10

	// A PCS has no path for the root CRL. This is the CRL distribution point of Intel's
	// root certificate. An address in an unverified certificate is never used.
	intelDomain  = ".trustedservices.intel.com"
	intelRootCRL = "https://certificates.trustedservices.intel.com/IntelSGXRootCA.der"
)

// server has the addresses of the four documents.
type server struct {
	base    string
	rootCRL string
}

func parseServer(text string) (server, error) {
	u, err := url.Parse(text)
	if err != nil {
		return server{}, fmt.Errorf("PCCS URL: %w", err)
	}
	// http is enough: the documents are public and signed.
	if u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return server{}, fmt.Errorf("PCCS URL %s: want one such as https://pccs.example.com", u.Redacted())
	}
	// Intel's own libraries require the path of the SGX API, so configurations have it.
	s := server{base: strings.TrimSuffix(strings.TrimRight(text, "/"), "/sgx/certification/v4")}
	s.rootCRL = s.base + "/sgx/certification/v4/rootcacrl"
	if strings.HasSuffix(strings.ToLower(u.Hostname()), intelDomain) {
		s.rootCRL = intelRootCRL
	}
	return s, nil
}

// httpClient returns o, or a suitable client if o is nil. Neither follows redirections: a PCCS
// must not choose other addresses.
func httpClient(o *http.Client) *http.Client {
	c := http.Client{Transport: &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		ForceAttemptHTTP2:      true,
		DisableCompression:     true, // sizes are bounded as they are sent
		MaxResponseHeaderBytes: maxHeader,
		MaxIdleConnsPerHost:    1,
		IdleConnTimeout:        30 * time.Second,
	}}
	if o != nil {
		c = *o
	}
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &c
}

// fetch asks the servers in order until one has acceptable documents. All four come from one
// server, because two servers differ during a TCB recovery. old are the current documents, or
// nil.
func (c *Client) fetch(ctx context.Context, p Platform, old *entry) (*entry, error) {
	var failed []string
	for _, s := range c.servers {
		docs, err := c.fetchFrom(ctx, s, p)
		if err == nil {
			e, err2 := c.accept(p, docs, old)
			if err2 == nil {
				return e, nil
			}
			err = err2
		}
		if ctx.Err() != nil {
			return nil, errClosed
		}
		failed = append(failed, fmt.Sprintf("%s: %v", s.base, err))
	}
	return nil, errors.New(strings.Join(failed, "; "))
}

// accept verifies docs. It refuses expired ones, and ones older than old.
func (c *Client) accept(p Platform, docs *qvl.Collateral, old *entry) (*entry, error) {
	now := time.Now()
	e, err := examine(p, docs, c.root)
	switch {
	case err != nil:
		return nil, err
	case !e.holds(now):
		return nil, fmt.Errorf("the documents are valid from %s to %s", e.from.Format(time.RFC3339), e.until.Format(time.RFC3339))
	case old != nil && e.head.before(old.head): // from before a platform was revoked, say
		return nil, errors.New("a document is older than the current one")
	}
	e.used, e.due = now, e.dueAfter(now)
	return e, nil
}

func (c *Client) fetchFrom(ctx context.Context, s server, p Platform) (*qvl.Collateral, error) {
	ctx, cancel := context.WithTimeout(ctx, serverTimeout)
	defer cancel()
	docs := new(qvl.Collateral)
	for _, d := range s.documents(p, docs) {
		body, header, err := c.download(ctx, d.url)
		if err == nil {
			err = d.take(body)
		}
		if err == nil && d.chain != nil {
			*d.chain, err = parseChain(header, d.headers...)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", d.name, err)
		}
	}
	return docs, nil
}

// document is the address of one of the four, and the function that reads the answer.
type document struct {
	name, url string
	take      func(body []byte) error
	chain     *[]byte  // for its issuers; nil for the root's CRL
	headers   []string // one of which has the chain
}

func (s server) documents(p Platform, docs *qvl.Collateral) []document {
	return []document{
		{
			"TCB info",
			fmt.Sprintf("%s/tdx/certification/v4/tcb?fmspc=%X", s.base, p.FMSPC[:]),
			func(body []byte) (err error) {
				docs.TCBInfo, docs.TCBInfoSignature, err = parseSigned(body, "tcbInfo")
				return err
			},
			&docs.TCBInfoChain,
			[]string{"TCB-Info-Issuer-Chain", "SGX-TCB-Info-Issuer-Chain"},
		},
		{
			"QE identity",
			s.base + "/tdx/certification/v4/qe/identity?update=standard",
			func(body []byte) (err error) {
				docs.QEIdentity, docs.QEIdentitySignature, err = parseSigned(body, "enclaveIdentity")
				return err
			},
			&docs.QEIdentityChain,
			[]string{"SGX-Enclave-Identity-Issuer-Chain"},
		},
		{
			"PCK CRL",
			fmt.Sprintf("%s/sgx/certification/v4/pckcrl?ca=%s&encoding=der", s.base, p.CA),
			func(body []byte) (err error) { docs.PCKCRL, err = parseCRL(body); return err },
			&docs.PCKCRLChain,
			[]string{"SGX-PCK-CRL-Issuer-Chain"},
		},
		{
			"root CRL",
			s.rootCRL,
			func(body []byte) (err error) { docs.RootCRL, err = parseCRL(body); return err },
			nil,
			nil,
		},
	}
}

// download makes one request.
func (c *Client) download(ctx context.Context, from string) ([]byte, http.Header, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		return nil, nil, err
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, nil, fmt.Errorf("status %d", res.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, maxBody+1))
	if err != nil {
		return nil, nil, err
	}
	if len(body) > maxBody {
		return nil, nil, fmt.Errorf("the answer is larger than %d bytes", maxBody)
	}
	return body, res.Header, nil
}
