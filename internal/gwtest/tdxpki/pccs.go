package tdxpki

import (
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
)

// A Document is one of the kinds that a PCCS serves.
type Document int

// The documents, by the paths of Intel's API, version 4.
const (
	TCBInfoDocument    Document = iota // /tdx/certification/v4/tcb?fmspc=
	QEIdentityDocument                 // /tdx/certification/v4/qe/identity
	PCKCRLDocument                     // /sgx/certification/v4/pckcrl?ca=&encoding=der
	RootCRLDocument                    // /sgx/certification/v4/rootcacrl, and /IntelSGXRootCA.der
	PCKCertDocument                    // /sgx/certification/v4/pckcert?qeid=&…
	documents
)

// The authorities by which a PCK CRL is asked for.
const (
	PlatformCA  = "platform"
	ProcessorCA = "processor"
)

// A Dialect is how a server departs from Intel's reference PCCS, which the zero
// value speaks.
type Dialect struct {
	TCBInfoHeader string              // who signed TCB info; zero: TCB-Info-Issuer-Chain
	HeaderCase    func(string) string // of header names on the wire; nil: as Intel writes them
	RootCRL       Encoding
	NoRootCRL     bool // nothing at rootcacrl, as at Intel itself
}

// An Encoding is how a revocation list is written.
type Encoding int

// PCCS answers with the root CRL in hexadecimal text, Intel with DER.
const (
	HexLower Encoding = iota
	HexUpper
	DER
)

// A PCCS is a server of collateral: a provisioning certificate caching service,
// or Intel's own (with its root CRL at the host's /IntelSGXRootCA.der). It may be
// used concurrently; what it answers may be changed while it serves.
type PCCS struct {
	mu       sync.Mutex
	dialect  Dialect
	answers  [documents]map[string]answer // by FMSPC, by CA; else by ""
	instead  [documents]http.Handler
	requests [documents]int
}

// answer is a good one.
type answer struct {
	kind   string // content type
	body   []byte
	header string // that has the chain, or none
	chain  []byte // PEM
}

// NewPCCS makes a server that knows nothing yet.
func NewPCCS(d Dialect) *PCCS {
	s := &PCCS{dialect: d}
	for i := range s.answers {
		s.answers[i] = map[string]answer{}
	}
	return s
}

// PCCS serves the good collateral of the world's machine, the other PCK CA's
// list and the machine's PCK certificate.
func (p *PKI) PCCS(d Dialect) *PCCS {
	s := NewPCCS(d)
	for _, ca := range []*Entity{p.Platform, p.Processor} {
		c, name := p.Collateral(), PlatformCA
		if ca == p.Processor {
			name = ProcessorCA
		}
		c.PCKCRL, c.PCKCRLChain = p.PCKCRL(ca), []*Entity{ca, p.Root}
		s.Publish(p.PCK.FMSPC, name, c.Sign())
	}
	s.answers[PCKCertDocument][""] = answer{"application/x-pem-file", PEM(p.Leaf), "SGX-PCK-Certificate-Issuer-Chain", PEM(p.Issuer(), p.Root)}
	return s
}

// Publish serves documents from now on: TCB info for that kind of machine, the
// PCK CRL for that authority, the others for everybody.
func (s *PCCS) Publish(fmspc [6]byte, ca string, d Documents) {
	s.mu.Lock()
	defer s.mu.Unlock()
	header := s.dialect.TCBInfoHeader
	if header == "" {
		header = "TCB-Info-Issuer-Chain"
	}
	const json, crl = "application/json", "application/pkix-crl"
	s.answers[TCBInfoDocument][fmspcKey(fmspc)] = answer{json, d.TCBInfoBody(), header, d.TCBInfoChain}
	s.answers[QEIdentityDocument][""] = answer{json, d.QEIdentityBody(), "SGX-Enclave-Identity-Issuer-Chain", d.QEIdentityChain}
	s.answers[PCKCRLDocument][ca] = answer{crl, d.PCKCRL, "SGX-PCK-CRL-Issuer-Chain", d.PCKCRLChain}
	s.answers[RootCRLDocument][""] = answer{crl, d.RootCRL, "", nil}
}

// Instead has another handler answer for a document; nil restores the good answer.
func (s *PCCS) Instead(d Document, h http.Handler) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.instead[d] = h
}

// Requests is how often a document was asked for, however that was answered.
func (s *PCCS) Requests(d Document) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests[d]
}

// Client talks to this server whatever the URL's host, without a network. An
// answer arrives whole.
func (s *PCCS) Client() *http.Client { return &http.Client{Transport: inProcess{s}} }

// ServeHTTP implements http.Handler.
func (s *PCCS) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d, ok := documentAt(r.URL.Path)
	if !ok {
		http.NotFound(w, r)
		return
	}
	s.mu.Lock()
	s.requests[d]++
	instead := s.instead[d]
	s.mu.Unlock()
	if instead != nil {
		instead.ServeHTTP(w, r)
		return
	}
	s.serve(w, r, d)
}

// serve gives the good answer.
func (s *PCCS) serve(w http.ResponseWriter, r *http.Request, d Document) {
	key, ok := keyOf(d, r.URL.Query())
	if r.Method != http.MethodGet || !ok {
		http.Error(w, "invalid request parameters", http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	a, found := s.answers[d][key]
	dialect := s.dialect
	s.mu.Unlock()
	direct := r.URL.Path == "/IntelSGXRootCA.der"
	if !found || d == RootCRLDocument && dialect.NoRootCRL && !direct {
		http.Error(w, "no data for this request", http.StatusNotFound)
		return
	}
	if d == RootCRLDocument && !direct {
		a.body = dialect.RootCRL.encode(a.body)
	}
	w.Header().Set("Content-Type", a.kind)
	if a.header != "" {
		name := a.header
		if dialect.HeaderCase != nil {
			name = dialect.HeaderCase(name)
		}
		w.Header()[name] = []string{escape(a.chain)} // not Set, which would choose the case
	}
	_, _ = w.Write(a.body) // to somebody who may have left
}

func documentAt(path string) (Document, bool) {
	switch path {
	case "/tdx/certification/v4/tcb":
		return TCBInfoDocument, true
	case "/tdx/certification/v4/qe/identity":
		return QEIdentityDocument, true
	case "/sgx/certification/v4/pckcrl":
		return PCKCRLDocument, true
	case "/sgx/certification/v4/rootcacrl", "/IntelSGXRootCA.der":
		return RootCRLDocument, true
	case "/sgx/certification/v4/pckcert":
		return PCKCertDocument, true
	}
	return 0, false
}

// keyOf reads what a document is chosen by.
func keyOf(d Document, q url.Values) (key string, ok bool) {
	switch d {
	case TCBInfoDocument:
		key = q.Get("fmspc")
		_, err := hex.DecodeString(key)
		return strings.ToUpper(key), err == nil && len(key) == 12
	case PCKCRLDocument:
		key = q.Get("ca")
		return key, (key == PlatformCA || key == ProcessorCA) && q.Get("encoding") == "der"
	case QEIdentityDocument:
		return "", q.Get("update") == "" || q.Get("update") == "standard"
	case RootCRLDocument, PCKCertDocument, documents:
	}
	return "", true
}

func fmspcKey(fmspc [6]byte) string { return strings.ToUpper(hex.EncodeToString(fmspc[:])) }

func (e Encoding) encode(der []byte) []byte {
	switch text := hex.EncodeToString(der); e {
	case HexLower:
		return []byte(text)
	case HexUpper:
		return []byte(strings.ToUpper(text))
	case DER:
	}
	return der
}

// escape writes a chain as Intel's service does in a header: a space is %20.
func escape(pem []byte) string {
	return strings.ReplaceAll(url.QueryEscape(string(pem)), "+", "%20")
}

// inProcess calls a handler without a network between.
type inProcess struct{ h http.Handler }

func (t inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	t.h.ServeHTTP(w, r)
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	answer := w.Result()
	header := http.Header{}
	for name, values := range answer.Header { // net/http's client reads any case as this one
		header[http.CanonicalHeaderKey(name)] = values
	}
	answer.Header, answer.Request = header, r
	return answer, nil
}
