package tdxpki

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-tdx-guest/verify"
)

// fetched has go-tdx-guest ask a PCCS.
type fetched struct{ *http.Client }

func (f fetched) Get(address string) (header map[string][]string, body []byte, err error) {
	answer, err := f.Client.Get(address)
	if err != nil {
		return nil, nil, err
	}
	defer answer.Body.Close()
	body, err = io.ReadAll(answer.Body)
	if answer.StatusCode != http.StatusOK {
		return nil, nil, errors.New(answer.Status)
	}
	return answer.Header, body, err
}

func TestCollateralOfPCCSVerifies(t *testing.T) {
	p := New(1, now)
	s := p.PCCS(Dialect{NoRootCRL: true})
	o := options(p, Documents{})
	o.Getter = fetched{s.Client()}
	if err := verify.RawTdxQuoteContext(t.Context(), p.Quote().Build(), o); err != nil {
		t.Fatal(err)
	}
	for d, want := range []int{1, 1, 1, 1, 0} {
		if got := s.Requests(Document(d)); got != want {
			t.Errorf("document %d was asked for %d times, want %d", d, got, want)
		}
	}
}

const (
	tcbPath     = "/tdx/certification/v4/tcb?fmspc=90C06F000000"
	pckCRLPath  = "/sgx/certification/v4/pckcrl?encoding=der&ca="
	rootCRLPath = "/sgx/certification/v4/rootcacrl"
)

func TestPCCSAnswersByPath(t *testing.T) {
	p := New(1, now)
	d := p.Collateral().Sign()
	tests := []struct {
		path   string
		status int
		body   []byte
		header string
	}{
		{tcbPath, 200, d.TCBInfoBody(), "TCB-Info-Issuer-Chain"},
		{"/tdx/certification/v4/tcb?fmspc=90c06f000000", 200, d.TCBInfoBody(), "TCB-Info-Issuer-Chain"},
		{"/tdx/certification/v4/tcb?fmspc=00A067110000", 404, nil, ""},
		{"/tdx/certification/v4/tcb", 400, nil, ""},
		{"/tdx/certification/v4/qe/identity?update=standard", 200, d.QEIdentityBody(), "SGX-Enclave-Identity-Issuer-Chain"},
		{pckCRLPath + PlatformCA, 200, d.PCKCRL, "SGX-PCK-CRL-Issuer-Chain"},
		{pckCRLPath + ProcessorCA, 200, p.PCKCRL(p.Processor).Sign(), "SGX-PCK-CRL-Issuer-Chain"},
		{pckCRLPath + "other", 400, nil, ""},
		{rootCRLPath, 200, []byte(hex.EncodeToString(d.RootCRL)), ""},
		{"/IntelSGXRootCA.der", 200, d.RootCRL, ""},
		{"/sgx/certification/v4/pckcert?qeid=00", 200, PEM(p.Leaf), "SGX-PCK-Certificate-Issuer-Chain"},
		{"/elsewhere", 404, nil, ""},
	}
	s := p.PCCS(Dialect{})
	for _, test := range tests {
		answer, body := get(t, s.Client(), "https://pccs"+test.path)
		if answer.StatusCode != test.status || test.body != nil && !bytes.Equal(body, test.body) {
			t.Errorf("%s: %s, %d bytes", test.path, answer.Status, len(body))
		}
		if test.header != "" && !strings.HasPrefix(answer.Header.Get(test.header), "-----BEGIN%20CERTIFICATE-----%0A") {
			t.Errorf("%s: no chain in %v", test.path, answer.Header)
		}
	}
}

func TestDialectChangesNamesAndEncodings(t *testing.T) {
	s := New(1, now).PCCS(Dialect{TCBInfoHeader: "SGX-TCB-Info-Issuer-Chain", HeaderCase: strings.ToLower, RootCRL: HexUpper})
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequest(http.MethodGet, tcbPath, nil))
	if names := slices.Collect(maps.Keys(w.Header())); !slices.Contains(names, "sgx-tcb-info-issuer-chain") {
		t.Errorf("header names %v", names)
	}
	if _, body := get(t, s.Client(), "https://pccs"+rootCRLPath); string(body) != strings.ToUpper(string(body)) || body[0] != '3' {
		t.Errorf("root CRL %.20s", body)
	}
	if answer, _ := get(t, New(1, now).PCCS(Dialect{NoRootCRL: true}).Client(), "https://pccs"+rootCRLPath); answer.StatusCode != 404 {
		t.Errorf("Intel answers %s", answer.Status)
	}
}

func TestTroubleTakesTheGoodAnswersPlace(t *testing.T) {
	s := New(1, now).PCCS(Dialect{})
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	check := func(status, size int) {
		t.Helper()
		if answer, body := get(t, server.Client(), server.URL+tcbPath); answer.StatusCode != status || size >= 0 && len(body) != size {
			t.Errorf("%s, %d bytes", answer.Status, len(body))
		}
	}
	s.Instead(TCBInfoDocument, Status(http.StatusServiceUnavailable))
	check(503, -1)
	s.Instead(TCBInfoDocument, Body([]byte("garbage")))
	check(200, 7)
	s.Instead(TCBInfoDocument, TooMuch(1_000_000))
	check(200, 1_000_000)
	s.Instead(TCBInfoDocument, nil)
	check(200, -1)
	if n := s.Requests(TCBInfoDocument); n != 4 {
		t.Errorf("%d requests counted", n)
	}
}

func TestGateHoldsUntilOpenedOrLeft(t *testing.T) {
	s := New(1, now).PCCS(Dialect{})
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	gate := s.Hold(TCBInfoDocument)
	ctx, leave := context.WithCancel(t.Context())
	left, through := make(chan error, 1), make(chan error, 1)
	ask := func(ctx context.Context, done chan<- error) {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+tcbPath, nil)
		if err == nil {
			var answer *http.Response
			if answer, err = server.Client().Do(r); err == nil {
				answer.Body.Close()
			}
		}
		done <- err
	}
	go ask(ctx, left)
	go ask(t.Context(), through)
	<-gate.Arrived()
	<-gate.Arrived()
	leave()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Errorf("who left got %v", err)
	}
	gate.Open()
	if err := <-through; err != nil {
		t.Errorf("who waited got %v", err)
	}
}

func get(t *testing.T, c *http.Client, address string) (*http.Response, []byte) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer, body
}
